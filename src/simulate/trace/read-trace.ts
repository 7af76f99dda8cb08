import { CideryError } from '../../model/errors.ts'
import type { InputProblem } from '../../model/errors.ts'
import { didYouMean } from '../../model/input-problems.ts'
import type { TraceJob } from '../../model/trace.ts'
import { CellProblem } from './cells.ts'
import type { Grid } from './cells.ts'
import { readCsv } from './csv.ts'
import { missingColumns, traceFormatNames, traceFormats } from './formats.ts'
import type { TraceFormatName } from './formats.ts'
import { readJsonLines } from './json-lines.ts'
import { rowOf } from './row.ts'

const shownProblems = 20

export interface Trace {
  readonly file: string
  readonly format: TraceFormatName
  /** In the order they came. */
  readonly jobs: readonly TraceJob[]
  readonly leftOut: readonly { readonly reason: string; readonly count: number }[]
}

/**
 * Reads a trace: CSV or JSON lines, of a format that its columns tell unless one is named. Throws INVALID_INPUT with file, line, column and what would be
 * accepted for each value that cannot be taken.
 */
export function readTrace(text: string, { file, format }: { readonly file: string; readonly format?: string | undefined }): Trace {
  const grid = text.trimStart().startsWith('{') ? readJsonLines(text) : readCsv(text)
  if (grid.rows.length === 0 && grid.problems.length === 0) {
    throw new CideryError('INVALID_INPUT', `${file} has no jobs`, {
      hint: 'cidery job export > jobs.csv, or cidery simulate --sample 800 > jobs.csv',
    })
  }
  const name = format === undefined ? detect(grid, file) : named(format, { grid, file })
  const jobs: TraceJob[] = []
  const leftOut = new Map<string, number>()
  const problems = [...grid.problems]
  for (const row of grid.rows) {
    try {
      const read = traceFormats[name].read(rowOf(row))
      if ('leftOut' in read) leftOut.set(read.leftOut, (leftOut.get(read.leftOut) ?? 0) + 1)
      else jobs.push(read)
    } catch (error) {
      if (!(error instanceof CellProblem)) throw error
      problems.push(error)
    }
  }
  refuseTrace(
    problems.map((problem) => located(problem, file)),
    file,
  )
  const ordered = jobs.sort((one, other) => one.submittedAt - other.submittedAt || one.line - other.line)
  return { file, format: name, jobs: ordered, leftOut: [...leftOut].map(([reason, count]) => ({ reason, count })) }
}

/** Throws INVALID_INPUT when there are problems, the first of them by place. */
export function refuseTrace(problems: readonly InputProblem[], file: string): void {
  if (problems.length === 0) return
  const ordered = [...problems].sort((one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0))
  const more = problems.length > shownProblems ? `; the first ${shownProblems} of ${problems.length} places` : ''
  throw new CideryError('INVALID_INPUT', `${file} cannot be replayed${more}`, {
    problems: ordered.slice(0, shownProblems),
    hint: 'correct the places named; docs/guide/simulate.md says which columns are read',
  })
}

function located(problem: CellProblem, file: string): InputProblem {
  const { line, column } = problem.at
  return { file, line, column, path: problem.path, message: problem.message, accepted: problem.accepted }
}

function detect(grid: Grid, file: string): TraceFormatName {
  const found = traceFormatNames.find((name) => missingColumns(traceFormats[name], grid.columns).length === 0)
  if (found !== undefined) return found
  const wanted = traceFormatNames.map((name) => `${name}: ${traceFormats[name].needs.map((names) => names.join(' or ')).join(', ')}`)
  throw new CideryError('INVALID_INPUT', `${file} is no trace: its columns are of no format that is known`, {
    problems: [{ file, line: 1, column: 1, path: '', message: `the columns are ${grid.columns.join(', ')}`, accepted: wanted }],
    hint: 'rename its columns; docs/guide/simulate.md says which ones are read',
  })
}

function named(format: string, { grid, file }: { readonly grid: Grid; readonly file: string }): TraceFormatName {
  const found = traceFormatNames.find((name) => name === format)
  if (found === undefined) {
    throw new CideryError('INVALID_INPUT', `there is no format "${format}" of a trace${didYouMean(format, traceFormatNames)}`, {
      hint: `one of ${traceFormatNames.join(', ')}`,
    })
  }
  const missing = missingColumns(traceFormats[found], grid.columns)
  if (missing.length === 0) return found
  throw new CideryError('INVALID_INPUT', `${file} lacks columns of the format ${found}`, {
    problems: missing.map((name) => ({ file, line: 1, column: 1, path: '', message: `there is no column ${name}` })),
    hint: `its columns are ${grid.columns.join(', ')}`,
  })
}
