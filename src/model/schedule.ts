import { z } from 'zod'
import { day, minute } from './instant.ts'
import type { Instant, Milliseconds } from './instant.ts'

/** Milliseconds that the clocks of a zone are ahead of UTC at a moment. `zoneOffset` of `time-zones.ts` gives that of a zone. */
export type OffsetAt = (at: Instant) => Milliseconds

/** The zone that needs no data. */
export const utc: OffsetAt = () => 0

/** A line of cron that was read: five fields, each as what it lets through. */
export interface Cron {
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  /** Sunday is 0. */
  readonly weekdays: ReadonlySet<number>
  /** Where both days and weekdays are said, one of them is enough. */
  readonly eitherDay: boolean
}

interface Field {
  readonly name: string
  readonly least: number
  readonly most: number
  readonly words: readonly string[]
}

const fields: readonly Field[] = [
  { name: 'minute', least: 0, most: 59, words: [] },
  { name: 'hour', least: 0, most: 23, words: [] },
  { name: 'day of the month', least: 1, most: 31, words: [] },
  { name: 'month', least: 1, most: 12, words: ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { name: 'day of the week', least: 0, most: 7, words: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
]

/** Values that one part of a field names, as first, last and step; undefined for what is none. */
function readPart(part: string, { least, most, words }: Field): readonly [number, number, number] | undefined {
  // `*/5` is from the first on, and `5/10` from 5 on, as everywhere.
  const whole = part.replace(/^\*/, `${least}-${most}`).replace(/^(\w+)\//, `$1-${most}/`)
  const match = /^(\d{1,2}|[a-z]{3})(?:-(\d{1,2}|[a-z]{3}))?(?:\/(\d{1,2}))?$/i.exec(whole)
  if (match === null) return undefined
  const numberOf = (word: string) => (/^\d+$/.test(word) ? Number(word) : words.indexOf(word.toLowerCase()))
  const [first, last, step] = [numberOf(match[1] ?? ''), numberOf(match[2] ?? match[1] ?? ''), Number(match[3] ?? '1')]
  const isSound = first >= least && first <= last && last <= most && step >= 1 && step <= most
  return isSound ? [first, last, step] : undefined
}

/** What a field lets through, or a sentence of what is wrong with it. */
function readField(text: string, field: Field): readonly number[] | string {
  const found = new Set<number>()
  for (const part of text.split(',')) {
    const read = readPart(part, field)
    if (read === undefined) {
      return `${JSON.stringify(part)} is no ${field.name}: *, or ${field.least} to ${field.most}, with lists (1,2), ranges (1-5) and steps (*/5)`
    }
    for (let value = read[0]; value <= read[1]; value += read[2]) found.add(value)
  }
  return [...found].sort((one, other) => one - other)
}

/** Longest month of each name. */
const monthDays = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function readCron(text: string): Cron | string {
  const words = text.split(/\s+/).filter((word) => word !== '')
  if (words.length !== fields.length) return `five fields (minute hour day month weekday); there are ${words.length}`
  const read = fields.map((field, index) => readField(words[index] ?? '', field))
  const problem = read.find((values) => typeof values === 'string')
  if (problem !== undefined) return problem
  const [minutes = [], hours = [], days = [], months = [], weekdays = []] = read.filter((values) => typeof values !== 'string')
  const anyWeekday = words[4] === '*'
  if (anyWeekday && !months.some((month) => days.some((date) => date <= (monthDays[month] ?? 0)))) {
    return 'a day that there is; no month named has it'
  }
  return {
    minutes,
    hours,
    days: new Set(days),
    months: new Set(months),
    weekdays: new Set(weekdays.map((weekday) => weekday % 7)),
    eitherDay: words[2] !== '*' && !anyWeekday,
  }
}

/** What is wrong with a line of cron; null: nothing. */
export function cronProblem(text: string): string | null {
  const cron = readCron(text)
  return typeof cron === 'string' ? cron : null
}

/**
 * Reads a line of cron: `minute hour day month weekday`. Throws RangeError for what is none; `cronProblem` says so beforehand.
 *
 * @example nextDue(parseCron('0 2 * * *'), Date.UTC(2026, 0, 1, 3), utc) // Date.UTC(2026, 0, 2, 2)
 */
export function parseCron(text: string): Cron {
  const cron = readCron(text)
  if (typeof cron === 'string') throw new RangeError(cron)
  return cron
}

/** A line of cron in a file; stays text. */
export const CronText = z.string().transform((text, context) => {
  const problem = cronProblem(text)
  if (problem === null) return text.trim()
  context.addIssue({ code: 'custom', message: `a line of cron such as "0 2 * * *": ${problem}` })
  return z.NEVER
})

/** `UTC`, `Europe/Berlin`. Whether there is such a zone is checked where the file is read. */
export const ZoneName = z.string().regex(/^(?:UTC|[A-Z][A-Za-z_]+(?:\/[A-Za-z0-9_+-]+){1,2})$/, 'a time zone such as UTC or Europe/Berlin')

/** 29 February is not there for at most eight years. */
const longestWait = 9 * 366

/**
 * The first moment after `after` at which a line is due on the clocks of a zone. Each time of day that the line names happens once a day: one that the clocks skip is due at the
 * first minute behind the gap, one that they show twice is due the first time.
 */
export function nextDue(cron: Cron, after: Instant, offsetAt: OffsetAt): Instant {
  const shown = after + offsetAt(after)
  const firstDay = Math.floor(shown / day)
  for (let date = firstDay; date < firstDay + longestWait; date += 1) {
    if (!hasDay(cron, date)) continue
    for (const time of timesOf(cron)) {
      const local = date * day + time
      // Only what the clocks have not shown yet; of that, what they showed before they were put back is past.
      const due = local > shown ? firstShowing(local, offsetAt) : after
      if (due > after) return due
    }
  }
  return Number.POSITIVE_INFINITY
}

function* timesOf({ hours, minutes }: Cron): Generator<Milliseconds> {
  for (const hour of hours) for (const minuteOfHour of minutes) yield (hour * 60 + minuteOfHour) * minute
}

function hasDay({ months, days, weekdays, eitherDay }: Cron, date: number): boolean {
  const at = new Date(date * day)
  if (!months.has(at.getUTCMonth() + 1)) return false
  const [byDate, byWeekday] = [days.has(at.getUTCDate()), weekdays.has(at.getUTCDay())]
  return eitherDay ? byDate || byWeekday : byDate && byWeekday
}

/** The first moment at which the clocks of a zone show a local time or a later one. A zone changes its offset at most once in two days. */
function firstShowing(local: number, offsetAt: OffsetAt): Instant {
  const [before, after] = [offsetAt(local - day), offsetAt(local + day)]
  if (before === after) return local - before
  const change = changeBetween(local - day, local + day, offsetAt)
  if (local - before < change) return local - before
  return Math.max(change, local - after)
}

/** When the offset changes, between a moment with the old one and a moment with the new one. */
function changeBetween(first: Instant, last: Instant, offsetAt: OffsetAt): Instant {
  const old = offsetAt(first)
  let [low, high] = [first, last]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle) === old) low = middle
    else high = middle
  }
  return high
}

/** When something may be done: from each due moment of a line on, for a while. */
export interface Opening {
  readonly cron: Cron
  readonly lasts: Milliseconds
  readonly offsetAt: OffsetAt
}

/**
 * The first moment from `at` on at which one of the windows is open; `at` itself when one is, or when there is none at all.
 */
export function nextOpen(windows: readonly Opening[], at: Instant): Instant {
  if (windows.length === 0) return at
  return Math.max(at, Math.min(...windows.map(({ cron, lasts, offsetAt }) => nextDue(cron, at - lasts, offsetAt))))
}
