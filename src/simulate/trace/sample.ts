import { hour, minute, second } from '../../model/instant.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Shape } from '../../model/shape.ts'
import type { TraceJob } from '../../model/trace.ts'

/** How busy each hour from 07:00 on is, against the others: people arrive, eat, and go home. */
const hours = [0.4, 0.9, 1.3, 1.4, 0.9, 0.7, 1.2, 1.5, 1.2, 0.7, 0.3] as const
/** 2026-03-02, a Monday. */
const opensAt = Date.UTC(2026, 2, 2, 7)

interface Kind {
  readonly name: string
  readonly queue: string
  /** Of all jobs. */
  readonly share: number
  /** Half of them are shorter. */
  readonly medianMs: Milliseconds
  /** Spread of the logarithm of their lengths. */
  readonly spread: number
  /** A push brings up to so many of them at once. */
  readonly burst: number
  readonly shape: Shape
}

const kinds: readonly Kind[] = [
  {
    name: 'test',
    queue: 'test',
    share: 0.62,
    medianMs: 8 * minute,
    spread: 0.5,
    burst: 16,
    shape: { cpu: 2, memoryMiB: 4096, diskMiB: 20_480 },
  },
  {
    name: 'build',
    queue: 'build',
    share: 0.28,
    medianMs: 18 * minute,
    spread: 0.4,
    burst: 4,
    shape: { cpu: 4, memoryMiB: 6144, diskMiB: 40_960 },
  },
  {
    name: 'release',
    queue: 'release',
    share: 0.1,
    medianMs: 60 * minute,
    spread: 0.35,
    burst: 2,
    shape: { cpu: 4, memoryMiB: 8192, diskMiB: 40_960 },
  },
]

/**
 * A made-up working day of so many jobs: few in the early morning and at noon, pushes that bring a dozen tests at once, a tenth long builds. Each runs in
 * a machine that takes about 45 seconds to boot.
 *
 * @param fraction repeatable randomness, 0 ≤ x < 1
 */
export function sampleTrace(count: number, fraction: () => number): readonly TraceJob[] {
  const jobs: Omit<TraceJob, 'line'>[] = []
  let pushes = 0
  while (jobs.length < count) {
    const kind = pick(kinds, (one) => one.share / ((one.burst + 1) / 2), fraction)
    const at = momentOfDay(fraction)
    pushes += 1
    const size = Math.min(count - jobs.length, 1 + Math.floor(fraction() * kind.burst))
    for (let index = 0; index < size; index += 1) jobs.push(jobOf(kind, { at, push: pushes, index, fraction }))
  }
  return jobs.sort((one, other) => one.submittedAt - other.submittedAt).map((job, index) => ({ ...job, line: index + 2 }))
}

interface Drawn {
  readonly at: number
  readonly push: number
  readonly index: number
  readonly fraction: () => number
}

function jobOf(kind: Kind, { at, push, index, fraction }: Drawn): Omit<TraceJob, 'line'> {
  return {
    name: `push-${push}/${kind.name}-${index + 1}`,
    queue: kind.queue,
    engine: 'qemu',
    image: 'ci',
    shape: kind.shape,
    labels: {},
    priority: 0,
    submittedAt: at + Math.floor(fraction() * 20 * second),
    startedAt: null,
    runsMs: lengthOf(kind.medianMs, kind.spread, fraction),
    bootMs: lengthOf(45 * second, 0.15, fraction),
    exitCode: fraction() < 0.06 ? 1 : 0,
  }
}

function momentOfDay(fraction: () => number): number {
  const [, start] = pick(
    hours.map((weight, index) => [weight, opensAt + index * hour] as const),
    ([weight]) => weight,
    fraction,
  )
  return start + Math.floor(fraction() * hour)
}

/** One of several, as often as its weight says. */
function pick<T>(items: readonly T[], weightOf: (item: T) => number, fraction: () => number): T {
  let left = fraction() * items.reduce((sum, item) => sum + weightOf(item), 0)
  for (const item of items) {
    left -= weightOf(item)
    if (left < 0) return item
  }
  return items.at(-1) as T
}

/** Lengths of builds are spread as the exponential of a bell curve: many near the median, some several times as long. */
function lengthOf(medianMs: Milliseconds, spread: number, fraction: () => number): Milliseconds {
  const bell = Math.sqrt(-2 * Math.log(1 - fraction())) * Math.cos(2 * Math.PI * fraction())
  return Math.round(medianMs * Math.exp(spread * bell))
}
