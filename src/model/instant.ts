/** A moment: whole milliseconds since 1970-01-01T00:00:00Z. The only form of time inside the core. */
export type Instant = number

/** A length of time in milliseconds. */
export type Milliseconds = number

export const second = 1_000
export const minute = 60 * second
export const hour = 60 * minute
export const day = 24 * hour

const unitMs = { ms: 1, s: second, m: minute, h: hour, d: day } as const

/**
 * Reads `90s`, `5m`, `1h30m`, `250ms`. Returns undefined for anything else, and for zero units.
 *
 * @example parseDuration('1h30m') // 5_400_000
 */
export function parseDuration(text: string): Milliseconds | undefined {
  if (!/^(?:\d+(?:ms|s|m|h|d))+$/.test(text)) return undefined
  let total = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) {
    total += Number(count) * unitMs[unit as keyof typeof unitMs]
  }
  return Number.isSafeInteger(total) ? total : undefined
}

/**
 * Writes a duration with its two largest units, for people.
 *
 * @example formatDuration(5_400_000) // '1h30m'
 */
export function formatDuration(duration: Milliseconds): string {
  if (duration < second) return `${Math.max(0, Math.round(duration))}ms`
  let rest = Math.floor(duration / second) * second
  const parts: string[] = []
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const count = Math.floor(rest / unitMs[unit])
    if (count > 0) parts.push(`${count}${unit}`)
    rest -= count * unitMs[unit]
  }
  return parts.slice(0, 2).join('')
}
