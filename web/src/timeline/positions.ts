import type { AttemptView, JobView } from '../../../src/model/api.ts'

/** What a job was waiting for or doing, in order. */
export const phases = ['queued', 'assigned', 'booting', 'preparing', 'running', 'collecting', 'cleaning'] as const
export type Phase = (typeof phases)[number]

export interface Segment {
  readonly phase: Phase
  readonly from: number
  readonly to: number
  /** It goes on. */
  readonly isLive: boolean
  /** Percent of the timeline. */
  readonly left: number
  readonly width: number
}

export interface Lane {
  /** Number of the attempt; null: the job waits for its next one. */
  readonly attempt: number | null
  readonly hostName: string | null
  readonly segments: readonly Segment[]
}

export interface Tick {
  readonly left: number
  /** Milliseconds since the job was submitted. */
  readonly after: number
}

export interface Timeline {
  readonly from: number
  readonly to: number
  readonly lanes: readonly Lane[]
  readonly ticks: readonly Tick[]
}

/** Narrower segments could not be seen. */
const leastWidth = 0.4

/**
 * A job's life on one axis from its submission to its end, or to now: one lane per attempt, each beginning with the wait before it. Moments come from several
 * clocks: one that lies before the one it follows is taken as equal to it, so that nothing overlaps.
 */
export function timelineOf(job: Pick<JobView, 'submittedAt' | 'endedAt' | 'attempts' | 'state'>, now: number): Timeline {
  const from = job.submittedAt
  const drafts: { readonly attempt: AttemptView | null; readonly parts: readonly Part[] }[] = []
  let since = from
  for (const attempt of job.attempts) {
    const parts = partsOf(attempt, since, now)
    drafts.push({ attempt, parts })
    since = parts.at(-1)?.to ?? since
  }
  if (job.state === 'queued')
    drafts.push({ attempt: null, parts: [{ phase: 'queued', from: since, to: Math.max(since, now), isLive: true }] })
  const ends = drafts.flatMap(({ parts }) => parts.map(({ to }) => to))
  const to = Math.max(from + 1, job.endedAt ?? from, ...ends)
  return {
    from,
    to,
    lanes: drafts.map(({ attempt, parts }) => ({
      attempt: attempt?.number ?? null,
      hostName: attempt?.hostName ?? null,
      segments: parts.map((part) => placed(part, from, to)),
    })),
    ticks: ticksOf(to - from),
  }
}

type Part = Pick<Segment, 'phase' | 'from' | 'to' | 'isLive'>

function partsOf(attempt: AttemptView, since: number, now: number): readonly Part[] {
  const { times } = attempt
  const begun = phases.flatMap((phase): { readonly phase: Phase; readonly at: number }[] => {
    const at = phase === 'queued' ? since : times[phase]
    return at === undefined ? [] : [{ phase, at }]
  })
  const parts: Part[] = []
  let from = since
  for (const [index, { phase }] of begun.entries()) {
    const next = begun[index + 1]?.at ?? times.ended
    const to = Math.max(from, next ?? now)
    parts.push({ phase, from, to, isLive: next === undefined && attempt.outcome === null })
    from = to
  }
  return parts.filter((part) => part.to > part.from || part.isLive)
}

function placed(part: Part, from: number, to: number): Segment {
  const span = to - from
  const width = Math.max(leastWidth, (100 * (part.to - part.from)) / span)
  return { ...part, left: Math.min(100 - width, (100 * (part.from - from)) / span), width }
}

const steps = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
  3_600_000, 7_200_000, 14_400_000, 28_800_000, 86_400_000, 172_800_000, 604_800_000,
]

/** Nearer to the end a tick's text would stand outside. */
const lastTick = 0.96

/** Round moments on the axis, at most six after the first. */
export function ticksOf(span: number): readonly Tick[] {
  const step = steps.find((one) => span / one <= 6) ?? Math.ceil(span / 6)
  const ticks: Tick[] = []
  for (let after = 0; after <= span * lastTick; after += step) ticks.push({ after, left: (100 * after) / span })
  return ticks
}

/** Milliseconds that each phase took in one lane, those that it had in order. */
export function timesOf(lane: Lane): readonly { readonly phase: Phase; readonly ms: number; readonly isLive: boolean }[] {
  return lane.segments.map(({ phase, from, to, isLive }) => ({ phase, ms: to - from, isLive }))
}
