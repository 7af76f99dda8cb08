import { z } from 'zod'
import { withDeadline } from '../../act/agent/deadline.ts'
import type { SandboxVerbs } from '../../act/agent/operation.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { CideryError } from '../../model/errors.ts'
import { minute, second, type Milliseconds } from '../../model/instant.ts'
import { EngineName } from '../../model/job.ts'
import type { Shape } from '../../model/shape.ts'
import type { AgentSettings, SandboxReport } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine, EngineSandbox, SnapshottingEngine } from '../../ports/engine.ts'

const SandboxRecord = z.object({
  sandbox: z.literal(true),
  engine: EngineName,
  image: z.string().nullable(),
  state: z.enum(['creating', 'stopped', 'running', 'failed']),
  reason: z.string(),
  createdAt: z.number(),
  /** Wall clock; the controller may let it live longer, and removes it in time itself when it can. */
  endsAt: z.number(),
  isolation: z.enum(['account', 'directory', 'vm']).nullable(),
})
type SandboxRecord = z.infer<typeof SandboxRecord>

export interface SandboxBoardOptions {
  readonly ports: AgentPorts
  readonly settings: () => AgentSettings
  readonly blockedAddresses: readonly string[]
  /** How long no controller was heard, ms. */
  readonly silentMs: () => number
  /** Whether an operation is under way: what it makes may not be listed yet. */
  readonly operating: () => boolean
  readonly onChange: () => void
  readonly stopping: AbortSignal
}

/** Sandboxes that people made on this host. */
export interface SandboxBoard extends SandboxVerbs {
  load(): Promise<void>
  /** Removes what the controller lists no more. */
  apply(desired: readonly string[]): Promise<void>
  reports(): readonly SandboxReport[]
  hasNews(): boolean
  sent(reports: readonly SandboxReport[]): void
  owners(): readonly string[]
  engineOf(id: string): Engine | undefined
  /** Removes what is listed no more, and while no controller can be heard what is past its time. */
  removeDue(): Promise<void>
  /** How long until `removeDue` has something to do; `Infinity`: nothing that is known now. */
  dueIn(): Milliseconds
}

const engineLimit = 15 * minute
const defaultShape: Shape = { cpu: 1, memoryMiB: 1024, diskMiB: 4096 }
const silentLimit = 30 * minute
const removeAgainAfter = 30 * second

export function sandboxBoard(options: SandboxBoardOptions): SandboxBoard {
  const { ports } = options
  const { journal, clock, timers, log } = ports
  const records = new Map<string, SandboxRecord>()
  const gone = new Map<string, SandboxRecord>()
  const removing = new Map<string, number>()
  let known = ''
  /** Null until a controller said it. */
  let wanted: ReadonlySet<string> | null = null

  async function keep(id: string, record: SandboxRecord): Promise<void> {
    options.stopping.throwIfAborted()
    records.set(id, record)
    await journal.put('sandbox', id, record)
    options.onChange()
  }

  function recordOf(id: string): SandboxRecord {
    const record = records.get(id)
    if (record === undefined) throw new CideryError('NOT_FOUND', `this host has no sandbox ${id}`, { hint: 'cidery sandbox ls' })
    return record
  }

  function engineNamed(name: string): Engine {
    const engine = ports.engines.get(name as EngineName)
    if (engine === undefined) throw new CideryError('UNSUPPORTED', `this host has no engine ${name}`)
    return engine
  }

  async function limited<T>(work: Promise<T>, what: string): Promise<T> {
    return withDeadline(timers, work, { ms: engineLimit, what })
  }

  /** Does something to a sandbox; when it fails, the record says so. */
  async function change(id: string, what: string, work: (engine: Engine) => Promise<Partial<SandboxRecord>>): Promise<void> {
    const record = recordOf(id)
    try {
      const next = await limited(work(engineNamed(record.engine)), what)
      await keep(id, { ...recordOf(id), reason: '', ...next })
    } catch (error) {
      if (records.has(id)) await keep(id, { ...recordOf(id), state: 'failed', reason: messageOf(error) })
      throw error
    }
  }

  async function remove(id: string): Promise<void> {
    const record = records.get(id)
    if (record === undefined) return
    const engine = engineNamed(record.engine)
    await limited(engine.stop(id, options.settings().sweepGraceMs), 'ending the processes of the sandbox')
    await limited(engine.destroy(id), 'removing the sandbox')
    records.delete(id)
    gone.set(id, record)
    for (const oldest of gone.keys()) if (gone.size > 100) gone.delete(oldest)
    await journal.remove('sandbox', id)
    options.onChange()
  }

  async function removeQuietly(id: string): Promise<void> {
    if (clock.steady() < (removing.get(id) ?? 0)) return
    removing.set(id, clock.steady() + removeAgainAfter)
    try {
      await remove(id)
      removing.delete(id)
    } catch (error) {
      log.error('a sandbox could not be removed', { sandbox: id, error: messageOf(error) })
    }
  }

  function isUnwanted(id: string): boolean {
    // What an operation is just making may not be listed yet.
    return wanted !== null && !options.operating() && !wanted.has(id)
  }

  async function removeUnwanted(): Promise<void> {
    for (const id of records.keys()) if (isUnwanted(id)) await removeQuietly(id)
  }

  /** How long until a sandbox is past its time while no controller can be heard. */
  function overIn({ endsAt }: SandboxRecord): Milliseconds {
    return Math.max(endsAt - clock.now(), silentLimit - options.silentMs())
  }

  /** How long until a sandbox is to be removed, for the first time or once more. */
  function removalIn(id: string, record: SandboxRecord): Milliseconds {
    return Math.max(isUnwanted(id) ? 0 : overIn(record), (removing.get(id) ?? 0) - clock.steady())
  }

  function reports(): readonly SandboxReport[] {
    const present = [...records].map(([id, record]) => reportOf(id, record, record.state))
    return [...present, ...[...gone].map(([id, record]) => reportOf(id, record, 'gone'))]
  }

  async function take(id: string, request: { readonly engine: string; readonly image: string | null }): Promise<EngineSandbox> {
    const engine = engineNamed(request.engine)
    const { blockedAddresses } = options
    const limits = options.settings().engines[engine.name]?.limits ?? 'enforced'
    const network = options.settings().engines[engine.name]?.networks[0] ?? 'nat'
    await engine.create({ id, jobId: id, image: request.image, shape: defaultShape, limits, network, blockedAddresses, mount: null })
    return engine.start(id)
  }

  return {
    async load() {
      for (const [id, value] of await journal.list('sandbox')) {
        const record = SandboxRecord.safeParse(value)
        if (record.success) records.set(id, record.data)
      }
      for (const engine of ports.engines.values()) {
        const real = new Map((await engine.list()).map((sandbox) => [sandbox.id, sandbox]))
        for (const [id, record] of records) {
          if (record.engine !== engine.name) continue
          const state = real.get(id)?.state
          if (state === undefined || state === 'broken') await keep(id, { ...record, state: 'failed', reason: 'it is not there any more' })
          else await keep(id, { ...record, state })
        }
      }
    },

    async create({ id, engine, image, ttlS }) {
      const name = engineNamed(engine).name
      const createdAt = clock.now()
      const endsAt = createdAt + ttlS * second
      await keep(id, { sandbox: true, engine: name, image, state: 'creating', reason: '', createdAt, endsAt, isolation: null })
      await change(id, 'making the sandbox', async () => {
        const { isolation } = await take(id, { engine, image })
        return { state: 'running', isolation }
      })
    },
    start: (id) =>
      change(id, 'starting the sandbox', async (engine) => {
        await engine.start(id)
        return { state: 'running' }
      }),
    stop: (id) =>
      change(id, 'stopping the sandbox', async (engine) => {
        await engine.stop(id, options.settings().operationGraceMs)
        return { state: 'stopped' }
      }),
    async snapshot(id, name) {
      const engine = engineNamed(recordOf(id).engine)
      // Nothing is wrong with a sandbox that was asked for what its engine cannot do.
      if (!('snapshot' in engine)) throw new CideryError('UNSUPPORTED', `the engine ${engine.name} takes no snapshots`)
      await change(id, 'taking a snapshot', async () => {
        await (engine as SnapshottingEngine).snapshot(id, name)
        return {}
      })
    },
    // Each step may have been done by an agent that died over it: none of them minds.
    reset: (id) =>
      change(id, 'making the sandbox anew', async (engine) => {
        await engine.stop(id, options.settings().sweepGraceMs)
        await engine.destroy(id)
        await keep(id, { ...recordOf(id), state: 'creating', reason: '' })
        const { isolation } = await take(id, recordOf(id))
        return { state: 'running', isolation }
      }),
    remove,

    async apply(desired) {
      wanted = new Set(desired)
      await removeUnwanted()
    },

    reports,
    hasNews: () => JSON.stringify(reports()) !== known,
    sent(sentReports) {
      known = JSON.stringify(sentReports.filter(({ state }) => state !== 'gone'))
      for (const { id, state } of sentReports) if (state === 'gone') gone.delete(id)
    },
    owners: () => [...records.keys()],
    engineOf: (id) => {
      const record = records.get(id)
      return record === undefined ? undefined : ports.engines.get(record.engine)
    },

    async removeDue() {
      await removeUnwanted()
      for (const [id, record] of records) if (overIn(record) <= 0) await removeQuietly(id)
    },

    dueIn: () => Math.min(...[...records].map(([id, record]) => removalIn(id, record))),
  }
}

function reportOf(id: string, record: SandboxRecord, state: SandboxReport['state']): SandboxReport {
  const { engine, image, reason, createdAt, isolation } = record
  return { id, engine, image, state, reason, createdAt, isolation }
}
