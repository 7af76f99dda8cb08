import { CellProblem, columnKey } from './cells.ts'
import type { Cell, Grid, GridRow } from './cells.ts'

/** Reads JSON lines: one object a line, under the same names as the columns of a CSV. Empty lines are passed over. */
export function readJsonLines(text: string): Grid {
  const columns = new Set<string>()
  const rows: GridRow[] = []
  const problems: CellProblem[] = []
  for (const [index, source] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (source.trim() === '') continue
    const line = index + 1
    const value = objectOf(source)
    if (value === undefined) {
      problems.push(new CellProblem('no JSON object; each line is one object', { at: { line, column: 1 }, path: '' }))
      continue
    }
    const cells = new Map<string, Cell>()
    for (const [name, field] of Object.entries(value)) {
      columns.add(name)
      cells.set(columnKey(name), { text: textOf(field), line, column: source.indexOf(JSON.stringify(name)) + 1 })
    }
    rows.push({ line, cells })
  }
  return { columns: [...columns], rows, problems }
}

function objectOf(source: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(source)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    // What is no JSON is told of with its line.
    return undefined
  }
}

/** A value as a CSV would hold it. */
function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
