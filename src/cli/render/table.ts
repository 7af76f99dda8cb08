import { paint } from './style.ts'
import type { Tone } from './style.ts'
import { cleanText, displayWidth, fitText } from './text.ts'

export interface Cell {
  readonly text: string
  readonly tone: Tone
}

export interface Column<T> {
  readonly head: string
  readonly cell: (item: T) => string | Cell
  /** Only in `--output wide`. */
  readonly wide?: true
  /** May be shortened when the terminal is narrow; the last such column gives way first. */
  readonly shrink?: true
  readonly align?: 'right'
}

export interface TableOptions {
  /** Columns of the terminal; undefined for files and pipes, where nothing is cut. */
  readonly width: number | undefined
  readonly color: boolean
  readonly wide: boolean
}

const gap = 2
const narrowest = 8

/** Lays items out in aligned columns that fit the terminal. Text from elsewhere is made safe for it. */
export function renderTable<T>(items: readonly T[], columns: readonly Column<T>[], options: TableOptions): string {
  const shown = columns.filter((column) => options.wide || column.wide !== true)
  const rows = items.map((item) => shown.map((column) => cleanCell(column.cell(item))))
  const heads = shown.map((column): Cell => ({ text: column.head, tone: 'strong' }))
  const widths = shown.map((_, index) => Math.max(...[heads, ...rows].map((row) => displayWidth(row[index]?.text ?? ''))))
  if (options.width !== undefined) narrow(shown, widths, options.width)
  const line = (row: readonly Cell[]) =>
    row
      .map((cell, index) =>
        pad(cell, {
          width: widths[index] ?? 0,
          last: index === row.length - 1,
          right: shown[index]?.align === 'right',
          color: options.color,
        }),
      )
      .join(' '.repeat(gap))
      .trimEnd()
  return `${[heads, ...rows].map(line).join('\n')}\n`
}

function cleanCell(cell: string | Cell): Cell {
  const { text, tone } = typeof cell === 'string' ? { text: cell, tone: 'plain' as const } : cell
  return { text: cleanText(text) || '-', tone }
}

function narrow<T>(columns: readonly Column<T>[], widths: number[], width: number): void {
  const total = () => widths.reduce((sum, one) => sum + one, 0) + gap * (widths.length - 1)
  for (let index = columns.length - 1; index >= 0; index -= 1) {
    const excess = total() - width
    if (excess <= 0) return
    const own = widths[index] ?? 0
    if (columns[index]?.shrink === true) widths[index] = Math.max(Math.min(own, narrowest), own - excess)
  }
}

interface PadOptions {
  readonly width: number
  readonly last: boolean
  readonly right: boolean
  readonly color: boolean
}

function pad(cell: Cell, { width, last, right, color }: PadOptions): string {
  const text = fitText(cell.text, width)
  const spaces = ' '.repeat(Math.max(0, width - displayWidth(text)))
  const painted = paint(text, cell.tone, color)
  if (right) return spaces + painted
  return last ? painted : painted + spaces
}
