import { withDeadline } from '../../act/agent/deadline.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { CideryError } from '../../model/errors.ts'
import { second } from '../../model/instant.ts'
import { syncProtocol, type SyncRequest, type SyncResponse } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import { createWakeUp } from '../wake-up.ts'
import { backoff, failureKind, type FailureKind } from './backoff.ts'

export type Reports = Pick<SyncRequest, 'facts' | 'attempts' | 'operations' | 'sandboxes' | 'builds'>

export interface SyncOptions {
  readonly ports: AgentPorts
  readonly agentVersion: string
  readonly bootId: string
  readonly instanceId: string
  readonly stopping: AbortSignal
  readonly pollMs: () => number
  /** Highest (epoch, generation) obeyed; `asked` is what the request says, lower while an agent that just started knows nothing. */
  readonly seen: () => SyncRequest['seen']
  readonly hasNews: () => boolean
  /** What goes out now; `all` repeats what was sent and not acknowledged. */
  readonly reports: (all: boolean) => Reports
  readonly onSent: (reports: Reports) => void
  /** Takes an answer in. Throws STALE_EPOCH when it came from a controller that was deposed. */
  readonly onAnswer: (answer: SyncResponse, timing: SyncTiming) => Promise<void>
  readonly onRefused: () => void
  readonly presentKey: () => string
}

/** When a request left and when its answer came, on both clocks. */
export interface SyncTiming {
  readonly sentSteady: number
  readonly sentWall: number
  readonly answeredWall: number
  readonly parkedMs: number
  /** The key that the request was made with. */
  readonly key: string
}

export interface SyncLoop {
  run(): Promise<void>
  /** Something is to be reported: goes out at once, together with what else changes meanwhile. */
  wake(): void
  state(): { readonly online: boolean; readonly failures: number; readonly kind: FailureKind; readonly problem: string | null }
}

/** Above the parked time: what an answer may take on top. */
const answerLimit = 20 * second
const idlePause = { first: 50, longest: 5 * second } as const
/** Changes within this much go out together. */
const coalesceMs = 10

/** One parked poll at a time, and short syncs beside it when there is news. Offline, only the poll tries, so there is one schedule. */
export function syncLoop(options: SyncOptions): SyncLoop {
  const { ports, stopping } = options
  const { clock, timers, link, log, random } = ports
  let online = false
  let failures = 0
  let kind: FailureKind = 'passing'
  let problem: string | null = null
  let parked = new AbortController()
  const reporter = createWakeUp(timers)
  stopping.addEventListener(
    'abort',
    () => {
      parked.abort(stopping.reason)
      reporter.close()
    },
    { once: true },
  )

  async function exchange(waitMs: number, reports: Reports, signal: AbortSignal): Promise<void> {
    const { agentVersion, bootId, instanceId } = options
    const sentSteady = clock.steady()
    const sentWall = clock.now()
    const key = options.presentKey()
    const request: SyncRequest = {
      protocol: syncProtocol,
      agentVersion,
      bootId,
      instanceId,
      seen: options.seen(),
      waitMs,
      sentAt: sentWall,
      ...reports,
    }
    const asking = link.sync(request, signal)
    const answer = await withDeadline(timers, asking, { ms: waitMs + answerLimit, what: "the controller's answer", signal })
    options.onSent(reports)
    await options.onAnswer(answer, { sentSteady, sentWall, answeredWall: clock.now(), parkedMs: waitMs, key })
  }

  function failed(error: unknown): void {
    const before = kind
    kind = failureKind(error)
    // A new kind of failure has a schedule of its own.
    failures = kind === before ? failures + 1 : 1
    online = false
    problem = messageOf(error)
    if (kind === 'refused') options.onRefused()
    log.warn('the controller could not be synced with', { error: problem, failures, kind })
    parked.abort(new CideryError('UNREACHABLE', 'another sync failed'))
  }

  function succeeded(): void {
    if (!online) log.info('in sync with the controller', { after: failures })
    online = true
    failures = 0
    kind = 'passing'
    problem = null
  }

  async function pollOnce(): Promise<void> {
    stopping.throwIfAborted()
    if (parked.signal.aborted) parked = new AbortController()
    const wasOnline = online
    // The first sync after a silence tells everything and is answered at once. Later polls are parked: they carry what was not
    // acknowledged, while news goes out beside them.
    const reports = options.reports(true)
    const leftToReporter = wasOnline && options.hasNews()
    await exchange(
      wasOnline ? options.pollMs() : 0,
      leftToReporter ? { ...reports, facts: null, attempts: [], operations: [], builds: [] } : reports,
      parked.signal,
    )
    succeeded()
  }

  /** Polls that brought nothing and came back at once, in a row: a controller that does not park them must not be asked in a hurry. */
  async function slowDown(idle: number): Promise<void> {
    if (idle > 0) await timers.sleep(Math.min(idlePause.longest, idlePause.first * 2 ** Math.min(idle, 10)), stopping)
  }

  async function poll(): Promise<void> {
    let idle = 0
    for (;;) {
      stopping.throwIfAborted()
      const began = clock.steady()
      const before = options.seen()
      try {
        await pollOnce()
        const after = options.seen()
        const moved = before.epoch !== after.epoch || before.generation !== after.generation
        const brought = moved || clock.steady() - began > idlePause.first
        idle = brought ? 0 : idle + 1
        await slowDown(idle - 1)
      } catch (error) {
        stopping.throwIfAborted()
        if (!parked.signal.aborted) failed(error)
        await timers.sleep(backoff(kind, failures, random.fraction()), stopping)
      }
      if (options.hasNews()) reporter.wake()
    }
  }

  async function report(): Promise<void> {
    for (;;) {
      stopping.throwIfAborted()
      if (!online || !options.hasNews()) {
        await reporter.wait(Number.POSITIVE_INFINITY)
        continue
      }
      await timers.sleep(coalesceMs, stopping)
      try {
        await exchange(0, options.reports(false), stopping)
      } catch (error) {
        stopping.throwIfAborted()
        if (online) failed(error)
      }
    }
  }

  return {
    async run() {
      await Promise.all([poll(), report()])
    },
    wake: reporter.wake,
    state: () => ({ online, failures, kind, problem }),
  }
}
