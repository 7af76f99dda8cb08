import { buildkiteTrace } from './buildkite.ts'
import { columnKey } from './cells.ts'
import { cideryTrace } from './cidery.ts'
import type { TraceFormat } from './format.ts'
import { githubTrace } from './github.ts'

/** "A new format is one line here." A file is of the first whose columns it has. */
export const traceFormats = {
  cidery: cideryTrace,
  buildkite: buildkiteTrace,
  github: githubTrace,
} satisfies Record<string, TraceFormat>

export type TraceFormatName = keyof typeof traceFormats
export const traceFormatNames = Object.keys(traceFormats) as readonly TraceFormatName[]

/** Alternatives for a column that the file lacks, by the first of its names; empty when it has all that the format needs. */
export function missingColumns(format: TraceFormat, columns: readonly string[]): readonly string[] {
  const there = new Set(columns.map(columnKey))
  return format.needs.filter((names) => !names.some((name) => there.has(columnKey(name)))).map((names) => names.join(' or '))
}
