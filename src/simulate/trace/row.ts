import type { Instant, Milliseconds } from '../../model/instant.ts'
import { EngineName } from '../../model/job.ts'
import type { EngineName as Engine } from '../../model/job.ts'
import { Labels } from '../../model/shape.ts'
import { CellProblem, columnKey } from './cells.ts'
import type { Cell, GridRow } from './cells.ts'

/** Values of one row by the names of their columns; each throws CellProblem for a value that it cannot take. */
export interface Row {
  readonly line: number
  /** The first of these columns that has a value; undefined when none has. */
  text(...names: readonly string[]): string | undefined
  moment(...names: readonly string[]): Instant | undefined
  /** A whole number within bounds. */
  whole(name: string, bounds: readonly [number, number]): number | undefined
  /** A number above 0. */
  positive(name: string): number | undefined
  engine(name: string): Engine | undefined
  labels(name: string): Labels | undefined
  /** Says what is wrong with a column of this row. */
  refuse(name: string, message: string, accepted?: readonly string[]): CellProblem
}

export function rowOf(row: GridRow): Row {
  const cellOf = (names: readonly string[]): readonly [string, Cell] | undefined => {
    for (const name of names) {
      const cell = row.cells.get(columnKey(name))
      if (cell !== undefined && cell.text.trim() !== '') return [name, cell]
    }
    return undefined
  }
  function refuse(name: string, message: string, accepted?: readonly string[]): CellProblem {
    const at = row.cells.get(columnKey(name)) ?? { line: row.line, column: 1 }
    return new CellProblem(message, { at, path: name, ...(accepted === undefined ? {} : { accepted }) })
  }
  function read<T>(
    names: readonly string[],
    reading: { readonly of: (text: string) => T | undefined; readonly accepted: string },
  ): T | undefined {
    const found = cellOf(names)
    if (found === undefined) return undefined
    const [name, cell] = found
    const value = reading.of(cell.text.trim())
    if (value === undefined) throw refuse(name, `"${shortened(cell.text)}" is not taken`, [reading.accepted])
    return value
  }
  return {
    line: row.line,
    text: (...names) => cellOf(names)?.[1].text.trim(),
    moment: (...names) => read(names, { of: readMoment, accepted: 'a moment such as 2026-08-03T09:15:00Z, or milliseconds since 1970' }),
    whole: (name, [least, most]) =>
      read([name], {
        of: (text) => within(readNumber(text), (value) => Number.isSafeInteger(value) && value >= least && value <= most),
        accepted: `a whole number from ${least} to ${most}`,
      }),
    positive: (name) => read([name], { of: (text) => within(readNumber(text), (value) => value > 0), accepted: 'a number above 0' }),
    engine: (name) => {
      const text = cellOf([name])?.[1].text.trim()
      if (text === undefined) return undefined
      const engine = EngineName.safeParse(text)
      if (!engine.success) throw refuse(name, `there is no engine "${shortened(text)}"`, EngineName.options)
      return engine.data
    },
    labels: (name) => read([name], { of: readLabels, accepted: 'key=value with spaces between, or a JSON object' }),
    refuse,
  }
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function within(value: number | undefined, good: (value: number) => boolean): number | undefined {
  return value !== undefined && good(value) ? value : undefined
}

function readNumber(text: string): number | undefined {
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined
}

const moment = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?) ?(Z|UTC|[+-]\d\d:?\d\d)?$/

/** Milliseconds of `2026-08-03T09:15:00.5+02:00`, `2026-08-03 09:15:00 UTC` (UTC is also meant where no zone stands), or of a number of milliseconds. */
export function readMoment(text: string): Instant | undefined {
  if (/^\d{11,14}$/.test(text)) return Number(text)
  const [, day, time, zone = 'Z'] = moment.exec(text) ?? []
  if (day === undefined || time === undefined) return undefined
  const offset = zone === 'UTC' ? 'Z' : zone.replace(/^([+-]\d\d):?(\d\d)$/, '$1:$2')
  const at = Date.parse(`${day}T${time}${offset}`)
  return Number.isNaN(at) ? undefined : at
}

function readLabels(text: string): Labels | undefined {
  const labels = Labels.safeParse(text.startsWith('{') ? objectOf(text) : pairsOf(text))
  return labels.success ? labels.data : undefined
}

function objectOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Refused by the schema of labels, with the place.
    return undefined
  }
}

function pairsOf(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {}
  for (const word of text.split(/\s+/)) {
    const at = word.indexOf('=')
    if (at < 1) return undefined
    pairs[word.slice(0, at)] = word.slice(at + 1)
  }
  return pairs
}

/** From one moment of a row to a later one. */
export function between(row: Row, [from, to]: readonly [Instant, Instant], name: string): Milliseconds {
  if (to < from) throw row.refuse(name, 'this is before the moment that it follows')
  return to - from
}
