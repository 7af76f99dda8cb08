import { z } from 'zod'
import { parseDuration } from './instant.ts'

const durationWords = 'a duration such as 90s, 5m, 1h30m or 7d'

/** A duration as people write it (`90s`, `5m`, `1h30m`), read into milliseconds. */
export const DurationText = z.string({ error: durationWords }).transform((text, context) => {
  const ms = parseDuration(text)
  if (ms !== undefined) return ms
  context.addIssue({ code: 'custom', message: durationWords })
  return z.NEVER
})

/** A duration with what it is when nothing is said. */
export const duration = (text: string) => DurationText.prefault(text)

const sizeUnit = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4 } as const

const sizeWords = 'a size such as 512MiB or 1GiB'

/** A size as people write it (`512MiB`, `1GiB`), read into bytes. */
export const SizeText = z.string({ error: sizeWords }).transform((text, context) => {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(KiB|MiB|GiB|TiB)$/.exec(text) ?? []
  if (count !== undefined && unit !== undefined) return Math.round(Number(count) * sizeUnit[unit as keyof typeof sizeUnit])
  context.addIssue({ code: 'custom', message: sizeWords })
  return z.NEVER
})

/** A size with what it is when nothing is said. */
export const size = (text: string) => SizeText.prefault(text)
