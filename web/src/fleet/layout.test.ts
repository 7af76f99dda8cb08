import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boxOf, cellAt, cellSize, layoutMap, moved, moveKeys } from './layout.ts'

const anyMap = fc
  .tuple(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 2000 }))
  .map(([counts, width]) =>
    layoutMap(
      counts.map((count, index) => ({ pool: `pool-${index}`, count })),
      width,
    ),
  )

describe('the layout of the dense map', () => {
  it('gives fewer hosts larger cells', () => {
    expect([51, 300, 301, 2500, 2501, 10_000].map((count) => cellSize(count).cell)).toEqual([26, 26, 18, 18, 10, 10])
  })

  it('lays groups one below the other, each under its heading', () => {
    const layout = layoutMap(
      [
        { pool: 'a', count: 5 },
        { pool: 'b', count: 1 },
      ],
      26 * 3 + 4,
    )
    expect(layout).toMatchObject({ columns: 3, count: 6, height: 26 + 2 * 28 + 10 + 26 + 28 })
    expect(layout.blocks).toEqual([
      { pool: 'a', first: 0, count: 5, top: 0, cellsTop: 26, rowsAbove: 0 },
      { pool: 'b', first: 5, count: 1, top: 92, cellsTop: 118, rowsAbove: 2 },
    ])
    expect(boxOf(layout, 4)).toEqual({ left: 28, top: 54, row: 2, column: 2 })
    expect(boxOf(layout, 5)).toEqual({ left: 0, top: 118, row: 3, column: 1 })
    expect(boxOf(layout, 6)).toBeNull()
    expect([moved(layout, 2, 'ArrowDown'), moved(layout, 4, 'ArrowDown'), moved(layout, 5, 'ArrowUp')]).toEqual([4, 5, 3])
  })

  it('is empty without hosts', () => {
    expect(layoutMap([], 500)).toMatchObject({ height: 0, count: 0 })
    expect([moved(layoutMap([], 500), 0, 'End'), moved(layoutMap([], 500), 0, 'ArrowDown'), cellAt(layoutMap([], 500), 3, 3)]).toEqual([
      0,
      0,
      null,
    ])
  })

  it('finds each cell where it put it', () => {
    fc.assert(
      fc.property(anyMap, fc.nat(), (layout, any) => {
        const index = any % layout.count
        const box = boxOf(layout, index)
        expect(cellAt(layout, (box?.left ?? -1) + layout.cell / 2, (box?.top ?? -1) + layout.cell / 2)).toBe(index)
      }),
    )
  })

  it('stays on the map whatever keys are pressed, and reaches every cell by left and right', () => {
    fc.assert(
      fc.property(anyMap, fc.nat(), fc.constantFrom(...moveKeys), (layout, any, key) => {
        const index = any % layout.count
        const next = moved(layout, index, key)
        expect(next >= 0 && next < layout.count).toBe(true)
        expect(moved(layout, moved(layout, 0, 'End'), 'ArrowRight')).toBe(layout.count - 1)
        if (index < layout.count - 1) expect(moved(layout, index, 'ArrowRight')).toBe(index + 1)
        if (key === 'ArrowDown' && next !== index) expect(boxOf(layout, next)?.row).toBe((boxOf(layout, index)?.row ?? 0) + 1)
      }),
    )
  })
})
