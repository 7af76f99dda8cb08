import { formatDuration } from '../../model/instant.ts'

/** `3m12s ago`, `in 20s`; `-` for null. */
export function relativeTime(at: number | null | undefined, now: number): string {
  if (at === null || at === undefined) return '-'
  const age = now - at
  if (Math.abs(age) < 1_000) return 'now'
  return age > 0 ? `${formatDuration(age)} ago` : `in ${formatDuration(-age)}`
}

/** `2026-08-01T10:00:00Z`; `-` for null. */
export function absoluteTime(at: number | null | undefined): string {
  return at === null || at === undefined ? '-' : new Date(at).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** `1.5 GiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`
}
