import { messageOf } from '../../act/agent/outcome.ts'
import { collectImages, type Collection } from '../../decide/images/collect.ts'
import { CideryError } from '../../model/errors.ts'
import type { DesiredHold, DesiredImages } from '../../model/image/build.ts'
import { parseImageReference } from '../../model/image/reference.ts'
import { minute, second, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { ImageEngine, Transferred } from '../../ports/images.ts'

/** A build that is being brought, or could not be. */
export interface Transfer extends Transferred {
  readonly build: string
  readonly startedAt: Instant
  /** Why the last try failed; empty while it goes well. */
  readonly problem: string
  /** When it is tried again; null while it is under way. */
  readonly retryAt: Instant | null
}

export interface HoldsOptions {
  readonly ports: Pick<AgentPorts, 'clock' | 'timers' | 'random' | 'log'>
  readonly engines: () => readonly ImageEngine[]
  readonly desired: () => DesiredImages | null
  /** Builds that are made here now, and must not be removed. */
  readonly making: () => readonly string[]
  /** Something came or went: it can be proved, or is no longer there. */
  readonly onStock: () => void
  /** A transfer got further. */
  readonly onTransfer: () => void
  readonly stopping: AbortSignal
}

/** The builds that this host shall have, and the room they take. */
export interface Holds {
  /** Brings what is missing and removes what may go; one thing after another. */
  pass(): Promise<void>
  /** How long until a pass has something to do that nobody announces. */
  dueIn(): Milliseconds
  transfers(): readonly Transfer[]
  /** What would be removed now, of each engine. */
  plan(engine: ImageEngine, neededBytes: number): Promise<Collection>
}

const firstRetry = 10 * second
const longestRetry = 10 * minute
/** What grows old does so while nothing else happens. */
const collectEvery = 60 * minute

export function imageHolds(options: HoldsOptions): Holds {
  const { ports, stopping } = options
  const { clock, log } = ports
  const transfers = new Map<string, Transfer>()
  const failures = new Map<string, { readonly count: number; readonly retryAt: number }>()
  let collectAt = 0

  async function missing(): Promise<readonly { readonly engine: ImageEngine; readonly hold: DesiredHold }[]> {
    const found: { engine: ImageEngine; hold: DesiredHold }[] = []
    for (const engine of options.engines()) {
      const holds = (options.desired()?.holds ?? []).filter((hold) => hold.engine === engine.name && hold.fetch && hold.reference !== null)
      if (holds.length === 0) continue
      const there = new Set((await engine.images.list()).filter(({ problems }) => problems.length === 0).map(({ id }) => id))
      found.push(...holds.filter(({ build }) => !there.has(build) && !options.making().includes(build)).map((hold) => ({ engine, hold })))
    }
    return found
  }

  async function bring(engine: ImageEngine, hold: DesiredHold): Promise<void> {
    const reference = parseImageReference(hold.reference ?? '')
    const { digest } = reference
    if (digest === null) throw new CideryError('INVALID_INPUT', `the build ${hold.build} is named without its digest`)
    transfers.set(hold.build, { build: hold.build, startedAt: clock.now(), done: 0, total: null, network: 0, problem: '', retryAt: null })
    const wanted = new AbortController()
    const signal = AbortSignal.any([stopping, wanted.signal])
    const pull = (): Promise<unknown> =>
      engine.images.pull(
        hold.build,
        { ...reference, digest },
        {
          signal,
          ...(hold.bandwidth === null ? {} : { bandwidth: hold.bandwidth }),
          onProgress(transferred) {
            const known = transfers.get(hold.build)
            if (known !== undefined) transfers.set(hold.build, { ...known, ...transferred })
            if (!isWanted(hold.build)) wanted.abort(new CideryError('UNAVAILABLE', 'the build is no longer wanted here'))
            options.onTransfer()
          },
        },
      )
    try {
      await pull()
    } catch (error) {
      const needed = neededBytes(error)
      if (needed === null) throw error
      // Its size is known only now. What may go makes room, and nothing else.
      const { remove, shortBytes } = await collect(engine, needed)
      if (remove.length === 0 || shortBytes > 0) throw error
      await pull()
    }
  }

  function isWanted(build: string): boolean {
    return options.desired()?.holds.some((hold) => hold.build === build && hold.fetch) ?? false
  }

  async function tryToBring(engine: ImageEngine, hold: DesiredHold): Promise<void> {
    const { count = 0, retryAt = 0 } = failures.get(hold.build) ?? {}
    if (clock.steady() < retryAt) return
    try {
      await bring(engine, hold)
      failures.delete(hold.build)
      transfers.delete(hold.build)
      log.info('a build was brought to this host', { build: hold.build, image: hold.image })
      options.onStock()
    } catch (error) {
      stopping.throwIfAborted()
      const pause = Math.min(longestRetry, firstRetry * 2 ** count) * (0.5 + ports.random.fraction() / 2)
      failures.set(hold.build, { count: count + 1, retryAt: clock.steady() + pause })
      const known = transfers.get(hold.build)
      if (known !== undefined)
        transfers.set(hold.build, { ...known, problem: messageOf(error).slice(0, 500), retryAt: clock.now() + pause })
      log.warn('a build could not be brought to this host', { build: hold.build, image: hold.image, error: messageOf(error) })
      options.onTransfer()
    }
  }

  async function plan(engine: ImageEngine, neededBytes: number): Promise<Collection> {
    const { holds = [], retention } = options.desired() ?? {}
    const [images, layers, room] = await Promise.all([engine.images.list(), engine.builder.layers(), engine.images.room()])
    const held = new Map([
      ...holds.map(({ build, image }) => [build, `held for ${image}`] as const),
      ...options.making().map((build) => [build, 'it is being built'] as const),
    ])
    const unlimited = { age: Number.POSITIVE_INFINITY, count: Number.POSITIVE_INFINITY, budgetBytes: null, freeFloorBytes: 0 }
    return collectImages({ images, layers, held, room, neededBytes, retention: retention ?? unlimited }, clock.now())
  }

  async function collect(engine: ImageEngine, neededBytes: number): Promise<Collection> {
    const collection = await plan(engine, neededBytes)
    for (const { kind, id, reason } of collection.remove) {
      try {
        await (kind === 'layer' ? engine.builder.removeLayer(id) : engine.images.remove(id))
        log.info('an image was removed from this host', { kind, id, reason })
        options.onStock()
      } catch (error) {
        // Somebody began to use it since the look.
        log.info('an image stays for now', { kind, id, error: messageOf(error) })
      }
    }
    return collection
  }

  return {
    async pass() {
      if (options.desired() === null) return
      const wanted = new Set(options.desired()?.holds.map(({ build }) => build))
      for (const build of transfers.keys()) if (!wanted.has(build)) transfers.delete(build)
      const todo = await missing()
      // Another turn begins anew, and nothing is due for what has none: it would be looked after without a pause.
      const tried = new Set(todo.map(({ hold }) => hold.build))
      for (const build of failures.keys()) if (!tried.has(build)) failures.delete(build)
      for (const { engine, hold } of todo) {
        stopping.throwIfAborted()
        if (isWanted(hold.build)) await tryToBring(engine, hold)
      }
      for (const engine of options.engines()) {
        await engine.images.sweep(new Set(transfers.keys()))
        await collect(engine, 0)
      }
      collectAt = clock.steady() + collectEvery
    },
    dueIn() {
      if (options.desired() === null) return Number.POSITIVE_INFINITY
      return Math.min(collectAt, ...[...failures.values()].map(({ retryAt }) => retryAt)) - clock.steady()
    },
    transfers: () => [...transfers.values()],
    plan,
  }
}

/** How much room a pull says that it needs; null for another error. */
function neededBytes(error: unknown): number | null {
  if (!(error instanceof CideryError) || error.code !== 'STORAGE_FULL') return null
  const needed = error.details?.['neededBytes']
  return typeof needed === 'number' ? needed : null
}
