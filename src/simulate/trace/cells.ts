/** One value of a trace and where it stands, both counted from 1. */
export interface Cell {
  readonly text: string
  readonly line: number
  readonly column: number
}

/** What is wrong with one value, or with a row; `accepted` are the values that would have been taken. */
export class CellProblem extends Error {
  readonly at: Pick<Cell, 'line' | 'column'>
  /** Name of the column; empty for the row as a whole. */
  readonly path: string
  readonly accepted: readonly string[] | undefined

  constructor(
    message: string,
    where: { readonly at: Pick<Cell, 'line' | 'column'>; readonly path: string; readonly accepted?: readonly string[] },
  ) {
    super(message)
    this.name = 'CellProblem'
    this.at = where.at
    this.path = where.path
    this.accepted = where.accepted
  }
}

/** The rows of a trace under the names of its columns, whatever its form. */
export interface Grid {
  /** Names as the file writes them. */
  readonly columns: readonly string[]
  readonly rows: readonly GridRow[]
  readonly problems: readonly CellProblem[]
}

export interface GridRow {
  readonly line: number
  readonly cells: ReadonlyMap<string, Cell>
}

/** `started_at`, `startedAt` and `Started At` are one column. */
export function columnKey(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}
