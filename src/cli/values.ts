import { parseDuration } from '../model/instant.ts'
import { UsageError } from './usage-error.ts'

const units = { '': 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const

/** Bytes of `512MiB` or `1.5GiB`. */
export function sizeOption(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = /^(\d+(?:\.\d+)?)(KiB|MiB|GiB|TiB)$/.exec(text) ?? []
  if (count === undefined || unit === undefined) throw new UsageError(`${flag} '${text}' is no size`, 'for example 512MiB or 2GiB')
  return Math.round(Number(count) * units[unit as keyof typeof units])
}

/** Milliseconds of `90s`, `5m`, `1h30m`. */
export function durationOption(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const ms = parseDuration(text)
  if (ms === undefined || ms === 0) throw new UsageError(`${flag} '${text}' is no duration`, 'for example 90s, 5m or 1h30m')
  return ms
}

export function numberOption(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new UsageError(`${flag} '${text}' is no number`)
  return value
}

export function integerOption(flag: string, text: string | undefined): number | undefined {
  const value = numberOption(flag, text)
  if (value !== undefined && !Number.isSafeInteger(value)) throw new UsageError(`${flag} '${text ?? ''}' is no whole number`)
  return value
}

/** `['os=linux']` as `{ os: 'linux' }`. */
export function pairsOption(flag: string, words: readonly string[] | undefined): Record<string, string> | undefined {
  if (words === undefined) return undefined
  const pairs: Record<string, string> = {}
  for (const word of words) {
    const at = word.indexOf('=')
    if (at < 1) throw new UsageError(`${flag} '${word}' is not key=value`)
    pairs[word.slice(0, at)] = word.slice(at + 1)
  }
  return pairs
}
