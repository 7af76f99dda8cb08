import { CideryError } from '../../model/errors.ts'
import type { HostFacts } from '../../model/host.ts'
import type { AttemptState, Outcome } from '../../model/job.ts'
import type { EngineName } from '../../model/job.ts'
import type { Proof } from '../../model/readiness.ts'
import type { AgentSettings, AttemptReport } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { AttemptRecord, Contact } from './attempt-record.ts'

/** What an attempt needs of the agent around it. */
export interface AttemptSurroundings {
  readonly ports: AgentPorts
  readonly os: HostFacts['os']
  readonly bootId: string
  /** Addresses of controllers, which a job's network must not reach. */
  readonly blockedAddresses: readonly string[]
  readonly settings: () => AgentSettings
  /** Now on the controller's clock, as well as it is known. */
  readonly correctedNow: () => number
  /** Something changed that the controller should hear of. */
  readonly onChange: () => void
  /** Resolves when no look of our own holds the slot that an attempt of this engine was promised; rejects when the signal is aborted. */
  readonly roomToBoot: (engine: EngineName, signal: AbortSignal) => Promise<void>
  /** A real boot of a sandbox went well or not. */
  readonly onBoot: (engine: EngineName, image: string | null, proof: Proof) => void
  /** A sandbox left something behind: its engine is not to be used until that is gone. */
  readonly onResidue: (residue: { readonly id: string; readonly engine: EngineName; readonly problem: string }) => Promise<void>
  /** Aborted when the agent stops; the next one goes on from the journal. */
  readonly stopping: AbortSignal
}

/** An attempt under way: its record, and how to change it. Each change is in the journal before it is acted on or told. */
export interface Attempt {
  readonly around: AttemptSurroundings
  readonly record: () => AttemptRecord
  /** Aborted when the attempt is to be ended before its time: cancelled, or its lease ran out. */
  readonly stop: AbortSignal
  update(change: Partial<Omit<AttemptRecord, 'id' | 'revision'>>): Promise<void>
  enter(state: AttemptState): Promise<void>
  note(text: string): Promise<void>
  /** Records how it ends, unless that is decided already. */
  decide(outcome: Outcome): Promise<void>
  cancel(by: string): Promise<void>
  endLease(): Promise<void>
  /** Writes down when a controller was last heard. */
  heard(contact: Contact): Promise<void>
  /** Keeps it in memory; what is written stays older, which ends a lease early and never late. */
  heardQuietly(contact: Contact): void
  contact(): Contact
  /** Changes what is of no interest to a controller. */
  quietly(change: Partial<Omit<AttemptRecord, 'id' | 'revision'>>): Promise<void>
  /** The values of its secrets; kept in memory only, and fetched again by an agent that was restarted. */
  secrets(): Promise<Readonly<Record<string, string>>>
  report(): AttemptReport
  /** Resolves when all that was begun to be written is written. */
  written(): Promise<void>
}

const mostNotes = 50
/** The reason of an abort that ends an attempt early. */
export const stopped = new CideryError('CONFLICT', 'the attempt was told to stop')

export function holdAttempt(first: AttemptRecord, around: AttemptSurroundings): Attempt {
  const { journal, link } = around.ports
  const stop = new AbortController()
  let record = first
  let { contact } = first
  let secrets: Promise<Readonly<Record<string, string>>> | undefined
  let writing: Promise<void> = Promise.resolve()
  if (record.cancelBy !== null || record.leaseEnded) stop.abort(stopped)

  /** Writes one after another, so that the journal never goes back to an older record. */
  async function save(next: AttemptRecord): Promise<void> {
    // What is still under way in an agent that stopped must not write over the record of the next one.
    around.stopping.throwIfAborted()
    record = next
    const written = writing.then(() => journal.put('attempt', next.id, next))
    writing = written.catch(() => {
      // Thrown to who saved; the next save writes the whole record again.
    })
    await written
  }

  async function update(change: Partial<Omit<AttemptRecord, 'id' | 'revision'>>): Promise<void> {
    await save({ ...record, ...change, revision: record.revision + 1 })
    around.onChange()
  }

  /** It ends also when that cannot be written, on a full disk for one: nobody asks a second time. */
  async function stopWith(reason: Partial<Pick<AttemptRecord, 'cancelBy' | 'leaseEnded'>>): Promise<void> {
    try {
      await update(reason)
    } finally {
      stop.abort(stopped)
    }
  }

  return {
    around,
    stop: stop.signal,
    record: () => record,
    update,
    enter: (state) => update({ state, times: { ...record.times, [state]: Math.round(around.correctedNow()) } }),
    note: (text) => update({ notes: [...record.notes, text.slice(0, 1000)].slice(0, mostNotes) }),
    async decide(outcome) {
      if (record.outcome === null) await update({ outcome })
    },
    async cancel(by) {
      if (record.cancelBy !== null || record.state === 'ended') return
      await stopWith({ cancelBy: by })
    },
    async endLease() {
      if (record.leaseEnded || record.state === 'ended') return
      await stopWith({ leaseEnded: true })
    },
    async heard(next) {
      contact = next
      await save({ ...record, contact })
    },
    heardQuietly(next) {
      contact = next
    },
    contact: () => contact,
    quietly: (change) => save({ ...record, ...change }),
    secrets() {
      secrets ??= record.job.spec.secrets.length === 0 ? Promise.resolve({}) : link.fetchSecrets(record.id)
      secrets.catch(() => {
        // Thrown to who asked; asked again next time.
        secrets = undefined
      })
      return secrets
    },
    report: () => reportOf(record),
    written: () => writing,
  }
}

function reportOf(record: AttemptRecord): AttemptReport {
  const { id, jobId, generation, revision, state, times, isolation, logBytes, artifacts, artifactFailures, notes } = record
  // How it ended is told when it ended: until all is cleaned it may still turn out otherwise.
  const outcome = state === 'ended' ? record.outcome : null
  return { id, jobId, generation, revision, state, times, outcome, isolation, logBytes, artifacts, artifactFailures, notes }
}
