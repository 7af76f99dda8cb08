/** The value that a part (0…1) of the others does not exceed, by nearest rank. NaN of nothing. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const [low, high] = [Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2)]
  return ((sorted[low] ?? Number.NaN) + (sorted[high] ?? Number.NaN)) / 2
}

/** Three significant digits, thousands set apart: `12 300`, `0.84`. `–` for what could not be measured. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const rounded = Number(value.toPrecision(3))
  return Math.abs(rounded) >= 1000 ? String(Math.round(rounded)).replaceAll(/\B(?=(\d{3})+$)/g, ' ') : String(Number(rounded.toFixed(3)))
}

/** Median and the lowest and highest of the rounds: `5.1 (4.8–5.5)`. */
export function spread(values: readonly number[]): string {
  if (values.length < 2) return figure(median(values))
  return `${figure(median(values))} (${figure(Math.min(...values))}–${figure(Math.max(...values))})`
}

/** Of each round the quotient, so that what slowed a whole round down cancels out. */
export function ratios(ours: readonly number[], theirs: readonly number[]): readonly number[] {
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN))
}
