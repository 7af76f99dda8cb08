import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { renderTable } from './table.ts'
import type { Column } from './table.ts'
import { cleanText, displayWidth, fitText } from './text.ts'
import { relativeTime, sizeText } from './time.ts'

interface Item {
  readonly name: string
  readonly note: string
}

const columns: readonly Column<Item>[] = [
  { head: 'NAME', cell: (item) => item.name, shrink: true },
  { head: 'STATE', cell: () => ({ text: '● up', tone: 'good' }) },
  { head: 'NOTE', cell: (item) => item.note, wide: true, shrink: true },
]

describe('tables', () => {
  it('align columns and mark what is cut', () => {
    const items = [
      { name: 'mini-1', note: 'x' },
      { name: 'a-very-long-name-of-a-host', note: 'y' },
    ]
    expect(renderTable(items, columns, { width: 20, color: false, wide: false })).toMatchInlineSnapshot(`
      "NAME           STATE
      mini-1         ● up
      a-very-long-…  ● up
      "
    `)
  })

  it('cut nothing when no terminal reads them', () => {
    const long = 'x'.repeat(500)
    expect(renderTable([{ name: long, note: '' }], columns, { width: undefined, color: false, wide: true })).toContain(long)
  })

  it('colour a word that says the same without colour', () => {
    expect(renderTable([{ name: 'a', note: '' }], columns, { width: 80, color: true, wide: false })).toContain('\u001B[32m● up\u001B[0m')
  })

  it('fit the terminal and keep one line per item, whatever the names are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: fc.string({ unit: 'grapheme' }), note: fc.string({ unit: 'binary' }) }), { maxLength: 8 }),
        fc.integer({ min: 40, max: 120 }),
        (items, width) => {
          const lines = renderTable(items, columns, { width, color: false, wide: true }).trimEnd().split('\n')
          expect(lines).toHaveLength(items.length + 1)
          for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width)
        },
      ),
    )
  })
})

describe('text from elsewhere', () => {
  it('loses escape sequences and control characters', () => {
    expect(cleanText('a\u001B[31mb\u001B]0;t\u0007c\nd\u202Ee\u009B2J')).toBe('abc d e 2J')
  })

  it('is cut by the columns that it takes, not by its letters', () => {
    expect(fitText('日本語テキスト', 7)).toBe('日本語…')
    expect(displayWidth('e\u0301')).toBe(1)
    expect(fitText('short', 10)).toBe('short')
  })
})

describe('times and sizes', () => {
  it('are told by the two largest units', () => {
    expect(relativeTime(1_000_000 - 5_400_000, 1_000_000)).toBe('1h30m ago')
    expect(relativeTime(1_060_000, 1_000_000)).toBe('in 1m')
    expect(relativeTime(null, 1)).toBe('-')
    expect([0, 1023, 1536, 1_073_741_824].map(sizeText)).toEqual(['0 B', '1023 B', '1.5 KiB', '1.0 GiB'])
  })
})
