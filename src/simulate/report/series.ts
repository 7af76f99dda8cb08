import { hour, minute } from '../../model/instant.ts'
import type { Instant, Milliseconds } from '../../model/instant.ts'

/** From one moment to another; what lies outside a period is not counted in it. */
export interface Stretch {
  readonly from: Instant
  readonly to: Instant
}

const steps = [minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 12 * hour]
const mostSteps = 180

/** The shortest step that cuts a period into no more pieces than a chart can show. */
export function stepFor(period: Stretch): Milliseconds {
  return steps.find((step) => (period.to - period.from) / step <= mostSteps) ?? 24 * hour
}

/** How many stretches hold at once, averaged over each step of the period. */
export function countOver(stretches: readonly Stretch[], period: Stretch, stepMs: Milliseconds): readonly number[] {
  const pieces = Math.max(1, Math.ceil((period.to - period.from) / stepMs))
  const filled = Array.from({ length: pieces }, () => 0)
  for (const stretch of stretches) {
    const from = Math.max(stretch.from, period.from) - period.from
    const to = Math.min(stretch.to, period.to) - period.from
    for (let piece = Math.floor(from / stepMs); piece < pieces && piece * stepMs < to; piece += 1) {
      const overlap = Math.min(to, (piece + 1) * stepMs) - Math.max(from, piece * stepMs)
      filled[piece] = (filled[piece] ?? 0) + Math.max(0, overlap)
    }
  }
  // The last piece may be shorter than a step.
  return filled.map((ms, piece) => ms / Math.min(stepMs, Math.max(1, period.to - period.from - piece * stepMs)))
}

/** Length of all stretches together, inside the period. */
export function totalMs(stretches: readonly Stretch[], period: Stretch): Milliseconds {
  return stretches.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, period.to) - Math.max(from, period.from)), 0)
}
