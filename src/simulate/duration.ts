import { z } from 'zod'
import { DurationText } from '../model/quantity.ts'

/** A time in a script, read into milliseconds: a number of them, or a text such as `90s` or `1h30m`. */
export const Moment = z.union([z.number().nonnegative(), DurationText])

/** The same, of something that takes time. */
export const Duration = Moment.refine((ms) => ms > 0, 'longer than nothing')
