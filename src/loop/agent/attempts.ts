import { AttemptRecord, newAttemptRecord, type Contact } from '../../act/agent/attempt-record.ts'
import { holdAttempt, type Attempt, type AttemptSurroundings } from '../../act/agent/attempt.ts'
import { adoptAttempt, carryOutAttempt } from '../../act/agent/carry-out-attempt.ts'
import { uploadLog } from '../../act/agent/log-upload.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { day, minute, second, type Milliseconds } from '../../model/instant.ts'
import type { AttemptReport, DesiredAttempt, SyncResponse } from '../../model/sync.ts'

/** One attempt on this host, and what the controller knows of it. */
interface Held {
  readonly attempt: Attempt
  sent: number
  sentAt: number
  acknowledged: number
  endAcknowledged: boolean
  logStarted: boolean
  /** It was told that its machine is gone. */
  freed: boolean
  /** The controller asked for it at least once since this agent started, or knows it no more. */
  listed: boolean
}

/** Unacknowledged reports are repeated after this long. */
const repeatAfter = 5 * second
/** A lease is written down at most this often, so that a new agent counts on from it. */
const contactEvery = minute
/** An attempt that ended and that no controller ever acknowledged is forgotten after this long. */
const forgetAfter = day
/** An attempt that could not be carried on is taken up again after this long. */
const carryOnAfter = 10 * second

export interface AttemptBoardOptions extends AttemptSurroundings {
  /** The machine of an attempt is gone. */
  readonly onFreed: () => void
}

/** The attempts of this host: taken from what the controller wants and from the journal, carried out, reported until acknowledged. */
export interface AttemptBoard {
  /** Takes up what an earlier agent left. */
  load(): Promise<void>
  apply(desired: readonly DesiredAttempt[], contact: Contact, takeNew: boolean): Promise<void>
  acknowledge(acknowledged: SyncResponse['acknowledged']['attempts']): Promise<void>
  /** Reports that are to go out; `all` includes those that were sent and not yet acknowledged. */
  reports(all: boolean): readonly AttemptReport[]
  sent(reports: readonly AttemptReport[]): void
  hasNews(): boolean
  heard(contact: Contact): Promise<void>
  /** Ends those whose lease ran out, and forgets those whose end nobody wanted to hear. */
  checkLeases(): Promise<void>
  /** How long until `checkLeases` has something to do; `Infinity`: nothing that is known now. */
  dueIn(): Milliseconds
  /** Ids of attempts that own a sandbox. */
  owners(): readonly string[]
  /** Attempts that did not end. */
  live(): number
  /** Ids of all that are not forgotten. */
  ids(): readonly string[]
  find(id: string): AttemptRecord | undefined
  /** Resolves when all that runs here has stopped, after `stopping` was aborted. */
  settled(): Promise<void>
}

export function attemptBoard(around: AttemptBoardOptions): AttemptBoard {
  const { clock, timers, journal, supervisors, log } = around.ports
  const held = new Map<string, Held>()
  const running = new Set<Promise<void>>()
  /** Ids that were forgotten after their end was acknowledged; a late, doubled answer must not start them again. Bounded. */
  const forgotten = new Set<string>()

  function follow(work: Promise<void>, what: string, id: string): void {
    const done = work
      .catch((error: unknown) => {
        if (!around.stopping.aborted) log.error(`an attempt could not be ${what}`, { attempt: id, error: messageOf(error) })
      })
      .finally(() => running.delete(done))
    running.add(done)
  }

  function hold(record: AttemptRecord, known: Partial<Held> = {}): Held {
    const attempt = holdAttempt(record, { ...around, onChange: () => onChange(record.id) })
    const entry: Held = {
      attempt,
      sent: -1,
      sentAt: 0,
      acknowledged: -1,
      endAcknowledged: false,
      logStarted: false,
      freed: record.state === 'ended',
      listed: false,
      ...known,
    }
    held.set(record.id, entry)
    return entry
  }

  function onChange(id: string): void {
    const entry = held.get(id)
    if (entry !== undefined) {
      startLog(entry)
      freeSlot(entry)
    }
    around.onChange()
  }

  /** A machine that the host is still seen to have takes a slot, whoever it was for: that it is gone is told at once. */
  function freeSlot(entry: Held): void {
    const { state, job } = entry.attempt.record()
    if (entry.freed || state !== 'ended' || job.engine === 'user') return
    entry.freed = true
    around.onFreed()
  }

  function startLog(entry: Held): void {
    const { attempt } = entry
    const { id, state, logDone } = attempt.record()
    if (entry.logStarted || logDone || (state !== 'running' && state !== 'collecting' && state !== 'cleaning' && state !== 'ended')) return
    entry.logStarted = true
    follow(sendLog(entry, id), 'logged', id)
  }

  async function sendLog(entry: Held, id: string): Promise<void> {
    const { attempt } = entry
    await uploadLog({
      ports: around.ports,
      attemptId: id,
      secrets: () => attempt.secrets(),
      ended: () => attempt.record().state !== 'running',
      signal: around.stopping,
      onRedaction: ({ tooShort }) => {
        if (tooShort.length === 0 || attempt.record().state === 'ended') return
        const names = tooShort.join(', ')
        attempt
          .note(`too short to be hidden in the log: ${names}`)
          .catch((error: unknown) => log.warn('a note was lost', { error: messageOf(error) }))
      },
    })
    await attempt.quietly({ logDone: true })
    await forget(entry)
  }

  async function forget(entry: Held): Promise<void> {
    const { id, state, logDone } = entry.attempt.record()
    if (state !== 'ended' || !logDone || !entry.endAcknowledged || held.get(id) !== entry) return
    await supervisors.remove(id)
    await journal.remove('attempt', id)
    held.delete(id)
    forgotten.add(id)
    if (forgotten.size > 1000) for (const oldest of forgotten) if (forgotten.size > 1000) forgotten.delete(oldest)
  }

  /** To its end, whatever is in the way for a while: a journal on a full disk stops an attempt, and nobody else goes on with it. */
  async function carryOut({ attempt }: Held): Promise<void> {
    for (let again = false; ; again = true) {
      try {
        // What is not in the journal yet is not gone on from.
        if (again) await attempt.quietly({})
        return await carryOutAttempt(attempt)
      } catch (error) {
        around.stopping.throwIfAborted()
        log.error('an attempt could not be carried on; it is tried again', { attempt: attempt.record().id, error: messageOf(error) })
        await timers.sleep(carryOnAfter, around.stopping)
      }
    }
  }

  function start(entry: Held): void {
    const { id } = entry.attempt.record()
    startLog(entry)
    follow(carryOut(entry), 'carried out', id)
  }

  async function takeOn(desired: DesiredAttempt, contact: Contact): Promise<void> {
    const record = newAttemptRecord(desired, around.correctedNow(), contact)
    // In the journal before anything is made for it, so that no sandbox is without an owner.
    await journal.put('attempt', record.id, record)
    start(hold(record, { listed: true }))
    log.info('an attempt was assigned', { attempt: record.id, job: record.jobId, queue: record.queue })
    around.onChange()
  }

  async function obey(desired: DesiredAttempt, contact: Contact, takeNew: boolean): Promise<void> {
    const entry = held.get(desired.id)
    if (entry === undefined) {
      if (takeNew && !forgotten.has(desired.id)) await takeOn(desired, contact)
      return
    }
    entry.listed = true
    if (desired.want === 'cancel') await entry.attempt.cancel(desired.cancelBy ?? 'the controller')
  }

  function isDirty(entry: Held): boolean {
    return entry.attempt.record().revision > entry.sent
  }

  function isUnanswered(entry: Held): boolean {
    return entry.attempt.record().revision > entry.acknowledged && clock.steady() - entry.sentAt >= repeatAfter
  }

  /** How long until an attempt's lease ends, or until its end is forgotten. */
  function leftOf(attempt: Attempt): Milliseconds {
    const { state, times, leaseEnded } = attempt.record()
    if (state === 'ended') return forgetAfter - (around.correctedNow() - (times.ended ?? 0))
    const { steady, leaseMs = around.settings().attemptLeaseMs } = attempt.contact()
    return leaseEnded ? Number.POSITIVE_INFINITY : leaseMs - (clock.steady() - steady)
  }

  /**
   * What passed since a contact that another process wrote down. Its steady time counts on unless the machine was started anew; the wall clock may have
   * been set meanwhile. The longer of the two: a lease may end early, and never late.
   */
  function rebased(contact: Contact): Contact {
    const byWall = clock.now() - contact.wall
    const bySteady = contact.bootId === around.bootId ? clock.steady() - contact.steady : 0
    return { ...contact, steady: clock.steady() - Math.max(0, byWall, bySteady) }
  }

  return {
    async load() {
      for (const [id, value] of await journal.list('attempt')) {
        const record = AttemptRecord.safeParse(value)
        if (!record.success) {
          log.error('a record of the journal cannot be read, and is dropped', { attempt: id, error: record.error.message })
          await journal.remove('attempt', id)
          continue
        }
        const entry = hold(record.data)
        await adoptAttempt(entry.attempt)
        entry.attempt.heardQuietly(rebased(record.data.contact))
        // Given up meanwhile, perhaps: it must not begin its command in the moment before the leases are looked at.
        if (record.data.state !== 'ended' && leftOf(entry.attempt) <= 0) await entry.attempt.endLease()
        start(entry)
        log.info('an attempt was adopted', { attempt: id, state: record.data.state })
      }
    },

    async apply(desired, contact, takeNew) {
      const wanted = new Set(desired.map(({ id }) => id as string))
      for (const each of desired) await obey(each, contact, takeNew)
      for (const [id, entry] of held) {
        // The controller knows it no more: it gave the job to another host, or the job is gone. Two must not run.
        if (!wanted.has(id) && entry.attempt.record().state !== 'ended')
          await entry.attempt.cancel('the controller, which no longer lists it')
      }
    },

    async acknowledge(acknowledged) {
      for (const { id, revision, ended } of acknowledged) {
        const entry = held.get(id)
        if (entry === undefined) continue
        entry.acknowledged = Math.max(entry.acknowledged, revision)
        const record = entry.attempt.record()
        if (record.state !== 'ended' || (!ended && revision < record.revision)) continue
        entry.endAcknowledged = true
        await forget(entry)
      }
    },

    reports(all) {
      return [...held.values()].filter((entry) => isDirty(entry) || (all && isUnanswered(entry))).map(({ attempt }) => attempt.report())
    },

    sent(reports) {
      for (const { id, revision } of reports) {
        const entry = held.get(id)
        if (entry === undefined) continue
        entry.sent = Math.max(entry.sent, revision)
        entry.sentAt = clock.steady()
      }
    },

    hasNews: () => [...held.values()].some(isDirty),

    async heard(contact) {
      for (const { attempt } of held.values()) {
        const { state, contact: before } = attempt.record()
        if (state === 'ended') continue
        const same = before.bootId === contact.bootId && before.leaseMs === contact.leaseMs
        const written = same && contact.steady - before.steady < contactEvery
        if (written) attempt.heardQuietly(contact)
        else await attempt.heard(contact)
      }
    },

    async checkLeases() {
      for (const entry of held.values()) {
        if (leftOf(entry.attempt) > 0) continue
        const { id, state } = entry.attempt.record()
        if (state !== 'ended') {
          await entry.attempt.endLease()
          continue
        }
        log.error('an attempt that no controller acknowledged is forgotten', { attempt: id })
        entry.endAcknowledged = true
        await entry.attempt.quietly({ logDone: true })
        await forget(entry)
      }
    },

    dueIn: () => Math.min(...[...held.values()].map(({ attempt }) => leftOf(attempt))),

    owners: () =>
      [...held.values()]
        .map(({ attempt }) => attempt.record())
        .filter(({ state }) => state !== 'ended')
        .map(({ id }) => id),
    live: () => [...held.values()].filter(({ attempt }) => attempt.record().state !== 'ended').length,
    ids: () => [...held.keys()],
    find: (id) => held.get(id)?.attempt.record(),

    async settled() {
      await Promise.all(running)
      await Promise.all([...held.values()].map(({ attempt }) => attempt.written()))
    },
  }
}
