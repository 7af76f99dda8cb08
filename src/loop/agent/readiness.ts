import { orAborted, withDeadline } from '../../act/agent/deadline.ts'
import { runInside } from '../../act/agent/inside.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { EngineName } from '../../model/job.ts'
import type { Proof, Readiness } from '../../model/readiness.ts'
import type { AgentSettings } from '../../model/sync.ts'
import { checkEngine, proveBoot, readinessKey, type BootProof } from '../../observe/agent/boot-probe.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine } from '../../ports/engine.ts'
import { createWakeUp } from '../wake-up.ts'
import type { Residue } from './residue.ts'

export interface ReadinessOptions {
  readonly ports: AgentPorts
  readonly settings: () => AgentSettings
  readonly blockedAddresses: readonly string[]
  readonly residue: Residue
  /** Attempts that run here: a probe that nobody asked for never takes a job's room. */
  readonly live: () => number
  /** Whether an engine works on images here. */
  readonly hasImages: (engine: EngineName) => boolean
  /** Sandboxes that an engine takes at once. */
  readonly slots: (engine: EngineName) => number
  readonly onChange: () => void
  readonly stopping: AbortSignal
}

/** What is known of whether this host can start a job now, kept fresh. */
export interface ReadinessBoard {
  /** Checks and proves at start, then whenever something is due. */
  run(): Promise<void>
  /** Other things may be due now: another image, a job that ended, something left behind, a clock that jumped. */
  wake(): void
  /** Images came or went: what was seen of them is looked at again now, not when it is due. */
  lookAtImages(): void
  /** A job's own boot is a proof as good as any. */
  booted(engine: EngineName, image: string | null, proof: Proof): void
  /** Proves all engines now, also when a proof is fresh. Waits for a round that is under way. Gives lines for people. */
  proveAll(): Promise<{ readonly ok: boolean; readonly lines: readonly string[] }>
  all(): readonly Readiness[]
  /** Images that a sandbox could start from, by the last check. */
  images(): readonly string[]
  /**
   * Resolves when no probe holds a slot that is one of so many that jobs need: the controller gives slots away before it hears of a probe. Rejects when
   * the signal is aborted.
   */
  waitForRoom(engine: EngineName, needed: number, signal: AbortSignal): Promise<void>
  /** Sandboxes of probes under way. */
  owners(): readonly string[]
}

/** Checks and probes may wedge with the engine; the round goes on without them. */
const checkLimit = 60 * second
const proofLimit = 20 * 60 * second
/** A proof is repeated when this much of its life is over. */
const renewAt = 0.7
/** A failed proof, or a missing one, is tried again after this long, growing with each failure. */
const retryFirst = 30 * second
/** What is due is done so late at most; and what cannot be done yet although it is due is not tried more often. */
const shortestPause = 5 * second

interface Entry {
  readiness: Readiness
  nextCheckAt: number
  failures: number
  lastProofAt: number
}

export function readinessBoard(options: ReadinessOptions): ReadinessBoard {
  const { ports, stopping } = options
  const { clock, timers, random, log } = ports
  const entries = new Map<string, Entry>()
  const probes = new Set<string>()
  /** Proofs under way; none of them rejects. */
  const proving = new Map<EngineName, Promise<unknown>>()
  const wakeUp = createWakeUp(timers)
  let round: Promise<unknown> = Promise.resolve()
  stopping.addEventListener('abort', wakeUp.close, { once: true })

  /** One round at a time: checks and proofs of an engine never overlap themselves. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const next = round.then(work)
    round = next.catch((error: unknown) => {
      if (!stopping.aborted) log.warn('a readiness round failed', { error: messageOf(error) })
    })
    return next
  }

  function targets(): readonly { readonly engine: Engine; readonly image: string | null }[] {
    return [...ports.engines.values()].flatMap((engine) => {
      const own = options.settings().images.filter((image) => image.engine === engine.name)
      const images = options.hasImages(engine.name) ? own.map(({ name }) => name) : [null]
      return images.map((image) => ({ engine, image }))
    })
  }

  function entryOf(engine: EngineName, image: string | null): Entry {
    const key = readinessKey(engine, image)
    const known = entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      readiness: { engine, image, check: null, boot: null },
      nextCheckAt: 0,
      failures: 0,
      lastProofAt: Number.NEGATIVE_INFINITY,
    }
    entries.set(key, entry)
    return entry
  }

  function keep(entry: Entry, change: Partial<Readiness>): void {
    entry.readiness = { ...entry.readiness, ...change }
    options.onChange()
  }

  async function check(engine: Engine, image: string | null): Promise<void> {
    const entry = entryOf(engine.name, image)
    const { checkIntervalMs } = options.settings().readiness
    // ±10 %, so that a fleet does not check in step.
    entry.nextCheckAt = clock.steady() + checkIntervalMs * (0.9 + random.fraction() * 0.2)
    const late: Proof = { ok: false, at: clock.now(), reason: 'the check took too long' }
    keep(entry, {
      check: await withDeadline(timers, checkEngine(ports, engine, image), { ms: checkLimit, what: 'the check' }).catch(() => late),
    })
  }

  async function prove(engine: Engine, image: string | null): Promise<Proof> {
    const work = proveNow(engine, image)
    const over = work.catch(() => undefined).then(() => proving.delete(engine.name))
    proving.set(engine.name, over)
    return work
  }

  async function proveNow(engine: Engine, image: string | null): Promise<Proof> {
    const entry = entryOf(engine.name, image)
    const id = ports.ids.next('sbx')
    probes.add(id)
    try {
      const limits = options.settings().engines[engine.name]?.limits ?? 'enforced'
      const { blockedAddresses } = options
      const booting = proveBoot(ports, { engine, image, id, limits, blockedAddresses, signal: stopping }, runTrue)
      const { proof, residue } = await withDeadline(timers, booting, { ms: proofLimit, what: 'the boot probe' }).catch(tooLate)
      note(entry, proof)
      // A probe that was given up, or that could not be removed, holds a slot for ever if nobody goes on about it.
      if (residue !== null) await options.residue.add({ id, engine: engine.name, problem: residue })
      return proof
    } finally {
      probes.delete(id)
    }
  }

  function tooLate(error: unknown): BootProof {
    const reason = messageOf(error).slice(0, 500)
    return { proof: { ok: false, at: clock.now(), reason }, residue: reason }
  }

  async function runTrue(engine: Engine, id: string, limitMs: number): Promise<void> {
    const command = { argv: ['true'] as const, env: { PATH: '/usr/bin:/bin' } }
    await runInside({ ports, engine, id, signal: stopping }, { command, limitMs, what: 'run a command in the probe' })
  }

  function note(entry: Entry, proof: Proof): void {
    entry.failures = proof.ok ? 0 : entry.failures + 1
    entry.lastProofAt = clock.steady()
    keep(entry, { boot: proof })
  }

  function checkIn(entry: Entry): Milliseconds {
    return entry.nextCheckAt - clock.steady()
  }

  function proofIn(entry: Entry): Milliseconds {
    if (entry.readiness.check?.ok !== true || options.live() > 0) return Number.POSITIVE_INFINITY
    const renewal = options.settings().readiness.bootProofMaxAgeMs * renewAt
    const retry = retryFirst * 2 ** Math.max(0, Math.min(6, entry.failures - 1))
    return entry.lastProofAt + (entry.readiness.boot?.ok === true ? renewal : Math.min(renewal, retry)) - clock.steady()
  }

  /** How long until a round has something to do. */
  function dueIn(): Milliseconds {
    const dues = targets().map(({ engine, image }) => {
      const entry = entryOf(engine.name, image)
      return Math.min(checkIn(entry), proofIn(entry))
    })
    return Math.min(options.residue.retryIn(), ...dues)
  }

  async function pass(): Promise<void> {
    await options.residue.retry()
    for (const { engine, image } of targets()) {
      stopping.throwIfAborted()
      const entry = entryOf(engine.name, image)
      if (checkIn(entry) <= 0) await check(engine, image)
      if (proofIn(entry) <= 0) await prove(engine, image)
    }
    const wanted = new Set(targets().map(({ engine, image }) => readinessKey(engine.name, image)))
    for (const key of entries.keys()) if (!wanted.has(key)) entries.delete(key)
  }

  return {
    async run() {
      for (;;) {
        await alone(pass).catch(() => {
          // Logged by `alone`; the next pass tries again.
        })
        await wakeUp.wait(Math.max(shortestPause, dueIn()))
        stopping.throwIfAborted()
      }
    },
    wake: wakeUp.wake,
    lookAtImages() {
      for (const entry of entries.values()) if (entry.readiness.image !== null) entry.nextCheckAt = 0
      wakeUp.wake()
    },
    booted(engine, image, proof) {
      note(entryOf(engine, image), proof)
    },
    proveAll: () =>
      alone(async () => {
        const lines: string[] = []
        let ok = true
        for (const { engine, image } of targets()) {
          await check(engine, image)
          // Jobs that run in all of its slots prove more than a look that finds no room.
          if (options.live() >= options.slots(engine.name) && options.slots(engine.name) > 0) {
            lines.push(`${readinessKey(engine.name, image)}: jobs run in all slots`)
            continue
          }
          const proof = await prove(engine, image)
          ok &&= proof.ok
          lines.push(`${readinessKey(engine.name, image)}: ${proof.ok ? 'boots' : proof.reason}`)
        }
        return { ok, lines }
      }),
    all: () => [...entries.values()].map(({ readiness }) => readiness),
    images: () => {
      const there = [...entries.values()].filter(({ readiness }) => readiness.check?.ok === true)
      return there.flatMap(({ readiness }) => readiness.image ?? []).toSorted()
    },
    async waitForRoom(engine, needed, signal) {
      const probe = proving.get(engine)
      if (probe !== undefined && needed >= options.slots(engine)) await orAborted(probe, signal)
    },
    owners: () => [...probes],
  }
}
