import type { Instant } from '../../model/instant.ts'
import { nextDue, nextOpen, parseCron, type Cron, type OffsetAt, type Opening } from '../../model/schedule.ts'
import type { Image } from '../../model/spec.ts'
import { zoneOffset } from '../../model/time-zones.ts'

type Schedule = NonNullable<Image['schedule']>

interface ReadSchedule {
  readonly cron: Cron
  readonly offsetAt: OffsetAt
  readonly windows: readonly Opening[]
}

/** A spec is immutable, so that its lines of cron are read once. */
const schedules = new WeakMap<Schedule, ReadSchedule>()

function read(schedule: Schedule): ReadSchedule {
  const known = schedules.get(schedule)
  if (known !== undefined) return known
  const offsetAt = zoneOffset(schedule.timezone)
  const windows = schedule.windows.map(({ start, for: lasts }) => ({ cron: parseCron(start), lasts, offsetAt }))
  const made = { cron: parseCron(schedule.cron), offsetAt, windows }
  schedules.set(schedule, made)
  return made
}

/** The first moment after `after` at which a scheduled build is due; null without a schedule. */
export function dueAfter(schedule: Schedule | undefined, after: Instant): Instant | null {
  if (schedule === undefined) return null
  const { cron, offsetAt } = read(schedule)
  return nextDue(cron, after, offsetAt)
}

/** The first moment from `now` on at which hosts may take a new build. */
export function openFrom(schedule: Schedule | undefined, now: Instant): Instant {
  return schedule === undefined ? now : nextOpen(read(schedule).windows, now)
}
