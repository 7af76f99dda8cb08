import { managedLines } from '../../decide/images/managed.ts'
import { poolNameOf } from '../../decide/pools.ts'
import type { SealedEvent } from '../../model/event.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { Plan } from '../../model/plan.ts'
import type { Spec } from '../../model/spec.ts'
import type { Clock } from '../../ports/time.ts'
import type { Recorder } from '../../record/commit.ts'
import { allHosts } from '../../record/hosts.ts'
import { countImages, type CountedImage } from '../../record/image-numbers.ts'
import { countByQueue } from '../../record/jobs.ts'
import type { FleetNumbers, Metrics } from '../../serve/metrics.ts'
import type { PassReport } from '../controller.ts'

/** Counting the fleet reads it: not more often than this, however often the loop passes. */
const countEvery: Milliseconds = 5 * second

/** What the events of jobs say that is counted. */
interface NumberData {
  readonly queue: string
  readonly outcome: { readonly kind: string }
  readonly durationMs: number
  readonly waitedMs: number
  readonly pool: string
}

/** The fleet as it was read, before the changes that came since. */
interface Counted {
  readonly at: number
  readonly spec: Spec
  readonly hosts: FleetNumbers['hosts']
  readonly queues: Awaited<ReturnType<typeof countByQueue>>
  readonly images: readonly CountedImage[]
}

/** Rows whose changes change a number. */
const counts = ['job', 'host', 'build', 'hostImages'] as const

const unknownData: NumberData = { queue: '', outcome: { kind: '' }, durationMs: 0, waitedMs: 0, pool: '' }

export interface NumbersOptions {
  readonly recorder: () => Recorder
  readonly spec: () => Spec
  readonly clock: Clock
  readonly metrics: Metrics
}

/** Feeds the metrics from what the loop does and from what is sealed into the journal. */
export function createNumbers(options: NumbersOptions): { passed(pass: PassReport): void; sealed(events: readonly SealedEvent[]): void } {
  const { metrics, clock } = options
  let countedAt = Number.NEGATIVE_INFINITY
  let counting = false
  /** Goes up with each change of what is counted: a fleet in which nothing happens is not read again. */
  let changes = 0
  let counted: Counted | null = null
  let isListening = false

  function listen(): void {
    if (isListening) return
    isListening = true
    options.recorder().onTouched(({ rows, everything }) => {
      if (everything || counts.some((of) => rows.has(of))) changes += 1
    })
  }

  async function read(): Promise<Counted> {
    listen()
    const spec = options.spec()
    if (counted?.spec === spec && counted.at === changes) return counted
    const at = changes
    const { hosts, queues, images } = await options.recorder().read(async (db) => ({
      hosts: await allHosts(db),
      queues: await countByQueue(db),
      images: managedLines(spec).length === 0 ? [] : await countImages(db),
    }))
    const byPool = new Map<string, FleetNumbers['hosts'][number]>()
    for (const host of hosts) {
      const pool = poolNameOf(spec, host)
      const key = `${pool}/${host.state}`
      byPool.set(key, { pool, state: host.state, count: (byPool.get(key)?.count ?? 0) + 1 })
    }
    return { at, spec, queues, images, hosts: [...byPool.values()] }
  }

  async function count(plan: Plan): Promise<void> {
    counted = await read()
    const { hosts, queues, images } = counted
    const now = clock.now()
    const byCode = new Map<string, number>()
    for (const { code, jobCount } of plan.waiting) byCode.set(code, (byCode.get(code) ?? 0) + jobCount)
    metrics.fleet({
      queues: queues.map(({ queue, queued, running, oldestQueuedAt }) => ({
        queue,
        queued,
        running,
        oldestWaitS: oldestQueuedAt === null ? 0 : Math.max(0, now - oldestQueuedAt) / second,
      })),
      hosts,
      images: images.map(({ image, builtAt, ready }) => ({ image, ready, ageS: Math.max(0, now - builtAt) / second })),
      waiting: [...byCode].map(([code, jobs]) => ({ code, jobs })),
    })
  }

  function sealedEvent(event: SealedEvent): void {
    const data = { ...unknownData, ...(event.data as Partial<NumberData>) }
    if (event.kind === 'job.ended') metrics.jobEnded({ queue: data.queue, outcome: data.outcome.kind, seconds: data.durationMs / second })
    if (event.kind === 'job.running') metrics.jobStarted({ queue: data.queue, waitedS: data.waitedMs / second })
    const image = event.subject.replace(/^image\//, '')
    if (event.kind === 'image.build.candidate') metrics.imageBuilt({ image, outcome: 'built' })
    if (event.kind === 'image.build.failed') metrics.imageBuilt({ image, outcome: 'failed' })
    if (event.kind === 'attempt.ended' && data.outcome.kind === 'infrastructure') metrics.attemptFailed({ pool: data.pool })
  }

  return {
    passed(pass) {
      metrics.passed({ at: pass.at, seconds: pass.ms / second, steps: pass.carried.done, leads: pass.leads })
      const now = clock.steady()
      if (counting || now - countedAt < countEvery) return
      countedAt = now
      counting = true
      // Numbers that cannot be read now are read after the next pass; the loop's own trouble shows elsewhere.
      void count(pass.plan)
        .catch(() => undefined)
        .finally(() => {
          counting = false
        })
    },
    sealed(events) {
      metrics.eventsSealed(events.length)
      for (const event of events) sealedEvent(event)
    },
  }
}
