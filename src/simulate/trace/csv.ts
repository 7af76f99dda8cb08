import { CellProblem, columnKey } from './cells.ts'
import type { Cell, Grid, GridRow } from './cells.ts'

/** What may stand between values; a spreadsheet writes `;` where `,` is the decimal sign. */
const delimiters = [',', ';', '\t'] as const

/**
 * Reads CSV as RFC 4180 has it: a line of names, values in quotes where they hold delimiters, quotes or line breaks, a quote written twice. Lines may end
 * with CR LF, the file may begin with a byte order mark, empty lines are passed over.
 */
export function readCsv(text: string): Grid {
  const source = text.replace(/^\uFEFF/, '')
  const problems: CellProblem[] = []
  const [head, ...lines] = splitRows(source, delimiterOf(source), problems)
  const columns = (head ?? []).map((cell) => cell.text.trim())
  const keys = columns.map(columnKey)
  const rows: GridRow[] = []
  for (const cells of lines) {
    const at = cells[0] ?? { line: 1, column: 1 }
    if (cells.length === columns.length) rows.push({ line: at.line, cells: new Map(cells.map((cell, index) => [keys[index] ?? '', cell])) })
    else problems.push(new CellProblem(`${cells.length} values under ${columns.length} names`, { at, path: '' }))
  }
  return { columns, rows, problems }
}

/** The delimiter that the first line has most of. */
function delimiterOf(source: string): string {
  const head = /^[^\r\n]*/.exec(source)?.[0] ?? ''
  const counts = delimiters.map((delimiter) => head.split(delimiter).length)
  return delimiters[counts.indexOf(Math.max(...counts))] ?? ','
}

function splitRows(source: string, delimiter: string, problems: CellProblem[]): readonly (readonly Cell[])[] {
  const rows: Cell[][] = []
  let row: Cell[] = []
  let line = 1
  let lineStart = 0
  let at = 0
  while (at < source.length) {
    const cell = cellAt(source, at, delimiter)
    const place = { line, column: at - lineStart + 1 }
    if (!cell.closed) problems.push(new CellProblem('a quote that is never closed', { at: place, path: '' }))
    row.push({ text: cell.text, ...place })
    const breaks = source.slice(at, cell.end).split('\n').length - 1
    if (breaks > 0) lineStart = source.lastIndexOf('\n', cell.end - 1) + 1
    line += breaks
    const end = lineEndAt(source, cell.end)
    if (end === 0) {
      at = cell.end + 1
      // A delimiter as the very last character has one more empty value behind it.
      if (at === source.length) row.push({ text: '', line, column: at - lineStart + 1 })
      continue
    }
    at = cell.end + end
    line += 1
    lineStart = at
    if (row.length > 1 || row[0]?.text !== '') rows.push(row)
    row = []
  }
  if (row.length > 0) rows.push(row)
  return rows
}

/** How many characters end the line here; 0: none do. The end of the text ends a line of no characters, which counts as one. */
function lineEndAt(source: string, at: number): number {
  if (at >= source.length) return 1
  if (source.startsWith('\r\n', at)) return 2
  return source[at] === '\n' ? 1 : 0
}

/** The value that begins at a place, and where it ends: at a delimiter, a line end or the end of the text. */
function cellAt(
  source: string,
  from: number,
  delimiter: string,
): { readonly text: string; readonly end: number; readonly closed: boolean } {
  if (source[from] !== '"') {
    const end = plainEnd(source, from, delimiter)
    return { text: source.slice(from, end), end, closed: true }
  }
  let text = ''
  let at = from + 1
  for (;;) {
    const quote = source.indexOf('"', at)
    if (quote === -1) return { text: text + source.slice(at), end: source.length, closed: false }
    text += source.slice(at, quote)
    at = quote + 1
    if (source[at] !== '"') break
    text += '"'
    at += 1
  }
  // What stands between a closing quote and the delimiter belongs to the value, as spreadsheets read it.
  const end = plainEnd(source, at, delimiter)
  return { text: text + source.slice(at, end), end, closed: true }
}

function plainEnd(source: string, from: number, delimiter: string): number {
  let end = from
  while (end < source.length && source[end] !== delimiter && source[end] !== '\n' && !source.startsWith('\r\n', end)) end += 1
  return end
}
