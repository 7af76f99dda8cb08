import { hour, minute, second } from '../../model/instant.ts'

/** Turns values of an axis into places on it. */
export interface Scale {
  /** Values that get a line and a label. */
  readonly ticks: readonly number[]
  readonly top: number
  at(value: number): number
}

const roundLengths = [1, 2, 5, 10, 15, 30]
  .flatMap((count) => [count * second, count * minute, count * hour])
  .sort((one, other) => one - other)

/** From 0 to a round value that is not less than `most`. `length` is how far it reaches on the page. */
export function scaleOf(most: number, { length, unit }: { readonly length: number; readonly unit: 'count' | 'time' }): Scale {
  const step = unit === 'time' ? lengthStep(most) : countStep(most)
  const pieces = Math.max(1, Math.ceil(most / step))
  const top = pieces * step
  return { ticks: Array.from({ length: pieces + 1 }, (_, index) => index * step), top, at: (value) => (value / top) * length }
}

function lengthStep(most: number): number {
  return roundLengths.find((step) => most / step <= 6) ?? Math.ceil(most / 6 / (24 * hour)) * 24 * hour
}

/** 1, 2 or 5 times a power of ten. */
function countStep(most: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most / 5)))
  return [1, 2, 5, 10].map((count) => count * power).find((step) => most / step <= 5) ?? 10 * power
}

/** Whole hours (or several) inside a stretch of time, for an axis of moments. */
export function momentTicks(from: number, to: number): readonly number[] {
  const step = [15 * minute, 30 * minute, hour, 2 * hour, 4 * hour, 12 * hour].find((one) => (to - from) / one <= 12) ?? 24 * hour
  const ticks: number[] = []
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at)
  return ticks
}
