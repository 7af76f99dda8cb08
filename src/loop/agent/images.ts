import { keepBuildLogs } from '../../act/agent/images/build-log.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { CideryError } from '../../model/errors.ts'
import { firstReport, type BuildReport, type DesiredBuild, type DesiredImages } from '../../model/image/build.ts'
import type { StoredImage } from '../../model/image/stored.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { BuildAcknowledgement } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine } from '../../ports/engine.ts'
import type { ImageEngine } from '../../ports/images.ts'
import { createWakeUp } from '../wake-up.ts'
import { uploadBuildLog } from './build-log-upload.ts'
import { BuildRecord, runBuild } from './image-build.ts'
import { imageHolds, type Transfer } from './image-holds.ts'

export interface ImageBoardOptions {
  readonly ports: AgentPorts
  readonly hostName: () => string
  readonly blockedAddresses: readonly string[]
  /** Sandboxes that an engine takes at once. */
  readonly slots: (engine: Engine) => number
  /** Reports changed: they go out soon. */
  readonly onNews: () => void
  /** Another build is there, or one went. */
  readonly onStock: () => void
  readonly stopping: AbortSignal
}

/** What this host has of images and does for them: builds, brings, keeps, removes. */
export interface ImageBoard {
  load(): Promise<void>
  /** Null: the fleet manages no images; nothing is removed then. */
  apply(desired: DesiredImages | null): Promise<void>
  reports(all: boolean): readonly BuildReport[]
  sent(reports: readonly BuildReport[]): void
  acknowledge(acknowledged: readonly BuildAcknowledgement[]): Promise<void>
  hasNews(): boolean
  /** Sandboxes of builds. */
  owners(): readonly string[]
  /** Builds that are whole here; null where no engine keeps any. */
  stored(): Promise<readonly StoredImage[] | null>
  transfers(): readonly Transfer[]
  run(): Promise<void>
  settled(): Promise<void>
}

interface Held {
  report: BuildReport
  sent: number
  sentAt: Milliseconds
  acknowledged: number
  readonly cancel: AbortController
  running: Promise<void> | null
  /** What was written last; it never rejects. */
  writing: Promise<void>
  /** The log's way to the controller; it never rejects. */
  upload: Promise<void>
}

interface Waiting {
  readonly waiting: (reason: string) => void
  readonly signal: AbortSignal
}

const repeatAfter = 30 * second
/** A slot may be free at any moment: jobs end without telling this board. */
const slotEvery = 5 * second

export function imageBoard(options: ImageBoardOptions): ImageBoard {
  const { ports, stopping } = options
  const { journal, clock, timers, log } = ports
  const held = new Map<string, Held>()
  const owned = new Set<string>()
  const wakeUp = createWakeUp(timers)
  /** Builds between being given a slot and having a sandbox in it. */
  const reserved = new Map<string, string>()
  let desired: DesiredImages | null = null
  stopping.addEventListener('abort', wakeUp.close, { once: true })

  const engines = (): readonly ImageEngine[] => [...ports.engines.values()].filter(hasImages)

  const holds = imageHolds({
    ports,
    engines,
    stopping,
    desired: () => desired,
    making: () => [...held.values()].filter(({ running }) => running !== null).map(({ report }) => report.id),
    onStock: options.onStock,
    onTransfer: options.onNews,
  })

  function isOver({ report }: Held): boolean {
    return report.state === 'built' || report.state === 'failed'
  }

  async function write(report: BuildReport): Promise<void> {
    await journal.put('build', report.id, { build: true, report } satisfies BuildRecord)
  }

  function hold(report: BuildReport): Held {
    const entry: Held = {
      report,
      sent: -1,
      sentAt: 0,
      acknowledged: -1,
      cancel: new AbortController(),
      running: null,
      writing: Promise.resolve(),
      upload: Promise.resolve(),
    }
    held.set(report.id, entry)
    return entry
  }

  async function slot(engine: ImageEngine, id: string, { waiting, signal }: Waiting): Promise<void> {
    let said = ''
    for (;;) {
      const used = (await engine.list()).length + [...reserved.values()].filter((name) => name === engine.name).length
      const slots = options.slots(engine)
      if (used < slots) {
        reserved.set(id, engine.name)
        return
      }
      const reason = `all ${slots} slots of ${engine.name} are in use; a build takes none from a job`
      if (reason !== said) waiting(reason)
      said = reason
      await timers.sleep(slotEvery, signal)
    }
  }

  async function start(wanted: DesiredBuild): Promise<void> {
    const first = firstReport(wanted)
    // What could not be written down is not begun, and is asked for again.
    await write(first)
    const entry = hold(first)
    const engine = engines().find(({ name }) => name === wanted.recipe.engine)
    const onReport = (report: BuildReport): void => {
      const isNew = report.state !== entry.report.state
      entry.report = report
      options.onNews()
      // How far it is need not outlive the agent: a build under way does not either.
      if (isNew) entry.writing = entry.writing.then(() => write(report)).catch(unwritten)
    }
    if (engine === undefined) {
      onReport({
        ...entry.report,
        revision: 1,
        state: 'failed',
        reason: `this host has no engine ${wanted.recipe.engine} that builds images`,
      })
      return
    }
    const signal = AbortSignal.any([stopping, entry.cancel.signal])
    const build = runBuild(
      {
        ports,
        engine,
        hostName: options.hostName,
        blockedAddresses: options.blockedAddresses,
        slot: (waiting, until) => slot(engine, wanted.id, { waiting, signal: until }),
        owned(sandboxId, isOwned) {
          if (isOwned) owned.add(sandboxId)
          else owned.delete(sandboxId)
          reserved.delete(wanted.id)
        },
        onReport,
      },
      wanted,
      signal,
    )
    const over = build.then(async () => {
      await entry.writing
      reserved.delete(wanted.id)
      entry.running = null
      options.onStock()
      options.onNews()
      wakeUp.wake()
    })
    entry.running = over
    sendLog(entry)
  }

  function sendLog(entry: Held): void {
    const { id } = entry.report
    const sending = uploadBuildLog({ ports, id, ended: () => isOver(entry) && entry.running === null, signal: stopping })
    entry.upload = sending.catch((error: unknown) => {
      if (!stopping.aborted) log.warn('the log of a build could not be sent', { build: id, error: messageOf(error) })
    })
  }

  function unwritten(error: unknown): void {
    log.error('the report of a build could not be written', { error: messageOf(error) })
  }

  async function forget(entry: Held): Promise<void> {
    held.delete(entry.report.id)
    await journal.remove('build', entry.report.id)
  }

  function cancelUnwanted({ cancel }: Held, wanted: DesiredBuild | undefined): void {
    if (wanted?.want === 'build') return
    cancel.abort(new CideryError('UNAVAILABLE', `cancelled by ${wanted?.cancelBy ?? 'the controller, which no longer lists it'}`))
  }

  /** What no controller asks about any more was taken in by another one. */
  async function forgetUnasked(entry: Held, wants: ReadonlyMap<string, DesiredBuild>): Promise<void> {
    const { report, sent, running } = entry
    if (!wants.has(report.id) && running === null && sent >= report.revision) await forget(entry)
  }

  function isDirty({ report, sent }: Held): boolean {
    return report.revision > sent
  }

  function isUnanswered({ report, acknowledged, sentAt }: Held): boolean {
    return report.revision > acknowledged && clock.steady() - sentAt >= repeatAfter
  }

  return {
    async load() {
      for (const [id, value] of await journal.list('build')) {
        const record = BuildRecord.safeParse(value)
        if (!record.success) {
          log.error('the report of a build cannot be read, and is dropped', { build: id })
          await journal.remove('build', id)
          continue
        }
        const { report } = record.data
        // Its machine is swept with the sandboxes that nobody owns.
        const isCut = report.state === 'waiting' || report.state === 'building'
        const reason = 'VM build failed: the agent was restarted while it was built'
        const entry = hold(isCut ? { ...report, state: 'failed', reason, revision: report.revision + 1000 } : report)
        if (isCut) await write(entry.report)
        sendLog(entry)
      }
      for (const engine of engines()) log.debug('images of this host', { engine: engine.name, images: (await engine.images.list()).length })
      await ports.ingredients.sweep()
    },

    async apply(wanted) {
      desired = wanted
      const wants = new Map((wanted?.builds ?? []).map((build) => [build.id as string, build]))
      for (const build of wants.values()) if (!held.has(build.id) && build.want === 'build') await start(build)
      for (const [id, entry] of held) {
        if (isOver(entry)) await forgetUnasked(entry, wants)
        else cancelUnwanted(entry, wants.get(id))
      }
      wakeUp.wake()
    },

    reports: (all) => [...held.values()].filter((entry) => isDirty(entry) || (all && isUnanswered(entry))).map(({ report }) => report),

    sent(reports) {
      for (const { id, revision } of reports) {
        const entry = held.get(id)
        if (entry === undefined) continue
        entry.sent = Math.max(entry.sent, revision)
        entry.sentAt = clock.steady()
      }
    },

    async acknowledge(acknowledged) {
      for (const { id, revision, ended } of acknowledged) {
        const entry = held.get(id)
        if (entry === undefined) continue
        entry.acknowledged = Math.max(entry.acknowledged, revision)
        if (ended && isOver(entry) && entry.running === null && revision >= entry.report.revision) await forget(entry)
      }
    },

    hasNews: () => [...held.values()].some(isDirty),
    owners: () => [...owned],
    stored: async () => (engines().length === 0 ? null : (await Promise.all(engines().map((engine) => engine.images.list()))).flat()),
    transfers: () => holds.transfers(),

    async run() {
      if (engines().length === 0) return
      for (;;) {
        await wakeUp.wait(Math.max(second, holds.dueIn()))
        stopping.throwIfAborted()
        try {
          await holds.pass()
          if (desired !== null) await ports.buildLogs.removeOlder(keepBuildLogs)
        } catch (error) {
          stopping.throwIfAborted()
          log.error('the images of this host could not be kept', { error: messageOf(error) })
          await wakeUp.pause(slotEvery)
        }
      }
    },

    async settled() {
      await Promise.all([...held.values()].flatMap(({ running, upload }) => [running ?? Promise.resolve(), upload]))
    },
  }
}

function hasImages(engine: Engine): engine is ImageEngine {
  return 'images' in engine && 'builder' in engine
}
