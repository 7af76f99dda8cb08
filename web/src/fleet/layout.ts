/** Where cells of the dense map lie; all lengths are CSS pixels. Cells are numbered through all groups. */
export interface MapLayout {
  readonly cell: number
  /** From one cell to the next. */
  readonly pitch: number
  readonly columns: number
  readonly height: number
  readonly count: number
  readonly blocks: readonly Block[]
}

export interface Block {
  readonly pool: string
  /** Number of its first cell. */
  readonly first: number
  readonly count: number
  /** Top of its heading, and of its cells. */
  readonly top: number
  readonly cellsTop: number
  /** Rows of the whole map above it. */
  readonly rowsAbove: number
}

const heading = 26
const between = 10

/** Cells are as large as there is room for: 10,000 hosts are all in sight on a screen of 1920 × 1080. */
export function cellSize(count: number): { readonly cell: number; readonly gap: number } {
  if (count <= 300) return { cell: 26, gap: 2 }
  return count <= 2500 ? { cell: 18, gap: 2 } : { cell: 10, gap: 1 }
}

export function layoutMap(groups: readonly { readonly pool: string; readonly count: number }[], width: number): MapLayout {
  const count = groups.reduce((sum, group) => sum + group.count, 0)
  const { cell, gap } = cellSize(count)
  const pitch = cell + gap
  const columns = Math.max(1, Math.floor((width + gap) / pitch))
  const blocks: Block[] = []
  let top = 0
  let first = 0
  let rowsAbove = 0
  for (const group of groups) {
    const rows = Math.ceil(group.count / columns)
    const cellsTop = top + heading
    blocks.push({ pool: group.pool, first, count: group.count, top, cellsTop, rowsAbove })
    top = cellsTop + rows * pitch + between
    first += group.count
    rowsAbove += rows
  }
  return { cell, pitch, columns, height: Math.max(0, top - between), count, blocks }
}

function blockOf(layout: MapLayout, index: number): Block | undefined {
  return layout.blocks.find(({ first, count }) => index >= first && index < first + count)
}

export interface Box {
  readonly left: number
  readonly top: number
  /** Of the whole map, counted from 1. */
  readonly row: number
  readonly column: number
}

export function boxOf(layout: MapLayout, index: number): Box | null {
  const block = blockOf(layout, index)
  if (block === undefined) return null
  const { pitch } = layout
  const row = Math.floor((index - block.first) / layout.columns)
  const column = (index - block.first) % layout.columns
  return { left: column * pitch, top: block.cellsTop + row * pitch, row: block.rowsAbove + row + 1, column: column + 1 }
}

/** The cell at a point; null between cells. */
export function cellAt(layout: MapLayout, x: number, y: number): number | null {
  const { pitch } = layout
  const column = Math.floor(x / pitch)
  if (column < 0 || column >= layout.columns) return null
  for (const block of layout.blocks) {
    if (y < block.cellsTop) return null
    const row = Math.floor((y - block.cellsTop) / pitch)
    const index = row * layout.columns + column
    if (index < block.count) return block.first + index
  }
  return null
}

export const moveKeys = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'] as const
export type MoveKey = (typeof moveKeys)[number]

const pageRows = 10

/** The cell that a key leads to from another: rows of the next group follow those of the last, and columns are kept where there are cells. */
export function moved(layout: MapLayout, index: number, key: MoveKey): number {
  const end = layout.count - 1
  switch (key) {
    case 'ArrowLeft':
      return Math.max(0, index - 1)
    case 'ArrowRight':
      return Math.min(end, index + 1)
    case 'Home':
      return 0
    case 'End':
      return Math.max(0, end)
    case 'ArrowUp':
      return rowsAway(layout, index, -1)
    case 'ArrowDown':
      return rowsAway(layout, index, 1)
    case 'PageUp':
      return rowsAway(layout, index, -pageRows)
    case 'PageDown':
      return rowsAway(layout, index, pageRows)
  }
}

function rowsAway(layout: MapLayout, index: number, rows: number): number {
  const box = boxOf(layout, index)
  if (box === null) return 0
  const last = layout.blocks.at(-1)
  const lastRow = last === undefined ? 1 : last.rowsAbove + Math.ceil(last.count / layout.columns)
  const row = Math.min(lastRow, Math.max(1, box.row + rows))
  if (row === box.row) return index
  const block = layout.blocks.findLast(({ rowsAbove }) => rowsAbove < row)
  if (block === undefined) return index
  const rowStart = (row - 1 - block.rowsAbove) * layout.columns
  return block.first + Math.min(block.count - 1, rowStart + box.column - 1)
}
