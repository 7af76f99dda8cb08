import { Cron as Croner } from 'croner'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { day, hour, minute } from './instant.ts'
import { cronProblem, CronText, nextDue, nextOpen, parseCron, utc, ZoneName } from './schedule.ts'
import type { OffsetAt } from './schedule.ts'
import { zoneOffset } from './time-zones.ts'

/** Zones that put their clocks forward and back by an hour or by half of one, and some that are not whole hours from UTC. */
const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'Australia/Lord_Howe',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Pacific/Chatham',
  'America/Santiago',
]
const offsets = new Map(zones.map((zone) => [zone, zoneOffset(zone)]))
const offsetOf = (zone: string): OffsetAt => offsets.get(zone) ?? utc

const zone = fc.constantFrom(...zones)
const instant = fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2036, 0) })
const field = (least: number, most: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min: 2, max: 20 }).map((step) => `*/${step}`),
    fc.uniqueArray(fc.integer({ min: least, max: most }), { minLength: 1, maxLength: 3 }).map((values) => values.join(',')),
    fc
      .tuple(fc.integer({ min: least, max: most }), fc.integer({ min: least, max: most }))
      .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`),
  )
const lines = fc
  .tuple(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 7))
  .map((words) => words.join(' '))
  .filter((line) => cronProblem(line) === null)
const daily = fc
  .tuple(fc.nat(59), fc.nat(23))
  .map(([minutes, hours]) => ({ line: `${minutes} ${hours} * * *`, time: (hours * 60 + minutes) * minute }))
const iso = (at: number) => new Date(at).toISOString()

function dueInAYear(line: string, from: number, offsetAt: OffsetAt): readonly number[] {
  const found: number[] = []
  for (let at = nextDue(parseCron(line), from, offsetAt); at <= from + 370 * day; at = nextDue(parseCron(line), at, offsetAt))
    found.push(at)
  return found
}

describe('when a line of cron is due', () => {
  it.each([
    ['0 2 * * *', '2026-01-01T02:00:00Z', 'UTC', '2026-01-02T02:00:00.000Z'],
    ['0 2 * * *', '2026-01-01T01:59:59Z', 'UTC', '2026-01-01T02:00:00.000Z'],
    ['0 2 * * *', '2026-01-01T00:00:00Z', 'Asia/Kolkata', '2026-01-01T20:30:00.000Z'],
    // Clocks go from 2 to 3: 2:30 is not there.
    ['30 2 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin', '2026-03-29T01:00:00.000Z'],
    // Nor is 2:00, and 6:00 of that day does not stand for it.
    ['0 2,6 * * *', '2026-03-28T12:00:00Z', 'Europe/Berlin', '2026-03-29T01:00:00.000Z'],
    // From 3 back to 2: 2:30 is there twice.
    ['30 2 * * *', '2026-10-24T12:00:00Z', 'Europe/Berlin', '2026-10-25T00:30:00.000Z'],
    ['30 2 * * *', '2026-10-25T00:30:00Z', 'Europe/Berlin', '2026-10-26T01:30:00.000Z'],
    // Half an hour forward, from 2 to 2:30.
    ['15 2 * * *', '2026-10-03T00:00:00Z', 'Australia/Lord_Howe', '2026-10-03T15:30:00.000Z'],
    ['0 3 * * sun', '2026-12-01T00:00:00Z', 'UTC', '2026-12-06T03:00:00.000Z'],
    ['0 3 * * 7', '2026-12-01T00:00:00Z', 'UTC', '2026-12-06T03:00:00.000Z'],
    ['0 0 29 2 *', '2026-12-01T00:00:00Z', 'UTC', '2028-02-29T00:00:00.000Z'],
    ['0 0 13 * fri', '2026-12-01T00:00:00Z', 'UTC', '2026-12-04T00:00:00.000Z'],
    ['10/20 4-5 * jan-mar *', '2026-12-01T00:00:00Z', 'UTC', '2027-01-01T04:10:00.000Z'],
  ])('%s after %s in %s: %s', (...[line, after, zoneName, due]) => {
    expect(iso(nextDue(parseCron(line), Date.parse(after), offsetOf(zoneName)))).toBe(due)
  })

  it('a time of day is due once on each day of a zone: never left out, never twice', () => {
    fc.assert(
      fc.property(daily, zone, instant, ({ line, time }, zoneName, from) => {
        const offsetAt = offsetOf(zoneName)
        const due = dueInAYear(line, from, offsetAt)
        const shown = due.map((at) => at + offsetAt(at))
        const dates = shown.map((local) => Math.floor(local / day))
        // Each day once, without a hole.
        dates.forEach((date, index) => expect(date).toBe((dates.at(0) ?? 0) + index))
        // At its time, or at the first minute that the clocks show behind the gap.
        for (const [index, local] of shown.entries()) {
          const late = local - (Math.floor(local / day) * day + time)
          const at = due.at(index)!
          if (late !== 0) expect([late > 0, late <= hour, offsetAt(at) > offsetAt(at - 1)]).toEqual([true, true, true])
        }
      }),
      { numRuns: 60 },
    )
  })

  it('asking again later than what was due never gives the same again', () => {
    fc.assert(
      fc.property(lines, zone, fc.tuple(instant, fc.integer({ min: 0, max: 3 * day })), (line, zoneName, [from, more]) => {
        const [cron, offsetAt] = [parseCron(line), offsetOf(zoneName)]
        const due = nextDue(cron, from, offsetAt)
        expect(due).toBeGreaterThan(from)
        // Whenever one asks before it is due, it is the same moment: nothing lies between.
        const between = from + (more % (due - from))
        expect(nextDue(cron, between, offsetAt)).toBe(due)
        expect(nextDue(cron, due, offsetAt)).toBeGreaterThan(due)
      }),
    )
  })

  it('is when croner says, on all days on which no clock changes', () => {
    fc.assert(
      fc.property(lines, zone, instant, (line, zoneName, from) => {
        const offsetAt = offsetOf(zoneName)
        const theirs = new Croner(line, { timezone: zoneName, paused: true }).nextRun(new Date(from))?.getTime()
        const ours = nextDue(parseCron(line), from, offsetAt)
        const changes = [from, ours, theirs ?? from].some((at) => offsetAt(at - day) !== offsetAt(at + day))
        if (!changes) expect([line, zoneName, iso(from), iso(ours)]).toEqual([line, zoneName, iso(from), iso(theirs ?? 0)])
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    ['', 'five fields (minute hour day month weekday); there are 0'],
    ['0 2 * *', 'there are 4'],
    ['60 2 * * *', '"60" is no minute'],
    ['0 24 * * *', '"24" is no hour'],
    ['0 2 0 * *', '"0" is no day of the month'],
    ['0 2 * 13 *', '"13" is no month'],
    ['0 2 * * 8', '"8" is no day of the week'],
    ['0 2 * * mom', '"mom" is no day of the week'],
    ['0 5-2 * * *', '"5-2" is no hour'],
    ['*/0 * * * *', '"*/0" is no minute'],
    ['0 2 L * *', '"L" is no day of the month'],
    ['0 2 30 2 *', 'no month named has it'],
    ['@daily', 'there are 1'],
    ['*-5 * * * *', '"*-5" is no minute'],
    ['1,,2 * * * *', '"" is no minute'],
  ])('refuses %j', (line, problem) => {
    expect(cronProblem(line)).toContain(problem)
    expect(() => parseCron(line)).toThrow(RangeError)
    expect(CronText.safeParse(line).success).toBe(false)
  })
})

describe('maintenance windows', () => {
  const opening = (line: string, lasts: number, offsetAt: OffsetAt = utc) => ({ cron: parseCron(line), lasts, offsetAt })

  it('are always open when there is none', () => {
    expect(nextOpen([], 5)).toBe(5)
  })

  it.each([
    ['2026-12-01T01:59:00Z', '2026-12-01T02:00:00.000Z'],
    ['2026-12-01T02:00:00Z', '2026-12-01T02:00:00.000Z'],
    ['2026-12-01T05:59:59Z', '2026-12-01T05:59:59.000Z'],
    ['2026-12-01T06:00:00Z', '2026-12-02T02:00:00.000Z'],
  ])('from 2 to 6: at %s the next open moment is %s', (at, open) => {
    expect(iso(nextOpen([opening('0 2 * * *', 4 * hour)], Date.parse(at)))).toBe(open)
  })

  it('are open when one of them is', () => {
    fc.assert(
      fc.property(instant, zone, (at, zoneName) => {
        const windows = [opening('0 2 * * *', 4 * hour, offsetOf(zoneName)), opening('0 3 * * sun', hour)]
        expect(nextOpen(windows, at)).toBe(Math.min(...windows.map((window) => nextOpen([window], at))))
      }),
    )
  })
})

describe('zones', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/GMT+5'])('%s is a name of one', (name) => {
    expect(ZoneName.safeParse(name).success).toBe(true)
    expect(zoneOffset(name)(0)).toBeTypeOf('number')
  })

  it.each(['', 'utc', 'berlin', '+02:00', '../etc/localtime'])('%j is none', (name) => {
    expect(ZoneName.safeParse(name).success).toBe(false)
  })

  it('that are not there are refused by name', () => {
    expect(() => zoneOffset('Europe/Brelin')).toThrow('there is no time zone "Europe/Brelin"')
  })
})
