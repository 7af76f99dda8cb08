import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { append, cut, emptyWindow, endOf, prepend, rowCount, rowsOf, search, type LogWindow } from './window.ts'

const encoder = new TextEncoder()
const bytesOf = (text: string): Uint8Array => encoder.encode(text)

function textsOf(window: LogWindow): readonly string[] {
  return rowsOf(window, 0, rowCount(window)).map(({ text }) => text)
}

const anyText = fc
  .array(fc.oneof(fc.constantFrom('\n', '\r\n', '\u001b[31m', 'é', '漢', '😀', '\t'), fc.string({ maxLength: 30 })), { maxLength: 60 })
  .map((parts) => parts.join(''))

describe('the window of a log', () => {
  it('has the lines of a text and their numbers', () => {
    const window = append(emptyWindow(0), bytesOf('one\ntwo\n\nfour'))
    expect(rowsOf(window, 0, 10).map(({ text, number, isEnd }) => [number, text, isEnd])).toEqual([
      [1, 'one', true],
      [2, 'two', true],
      [3, '', true],
      [4, 'four', false],
    ])
    expect([endOf(window), rowCount(window)]).toEqual([13, 4])
    expect(rowsOf(window, 2, 1)).toMatchObject([{ text: '', number: 3, place: 2 }])
  })

  it('is the same however its bytes came, also cut within a character', () => {
    fc.assert(
      fc.property(anyText, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (text, sizes) => {
        const bytes = bytesOf(text)
        let window = emptyWindow(0)
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1
          window = append(window, bytes.subarray(at, at + size))
          at += size
        }
        expect(textsOf(window)).toEqual(textsOf(append(emptyWindow(0), bytes)))
        const lines = new TextDecoder().decode(bytes).split('\n')
        expect(textsOf(window)).toEqual(lines.at(-1) === '' ? lines.slice(0, -1) : lines)
        expect(endOf(window)).toBe(bytes.length)
      }),
    )
  })

  it('knows its offsets to the byte while it grows and is cut at both ends', () => {
    const whole = bytesOf(Array.from({ length: 20_000 }, (_, line) => `line ${line} é\n`).join(''))
    const lineAt = (offset: number): string => new TextDecoder().decode(whole.subarray(offset, whole.indexOf(10, offset)))
    const limits = { bytes: 150_000, rows: 60_000 }
    let window = emptyWindow(0)
    for (let at = 0; at < whole.length; at += 30_000) {
      window = cut(append(window, whole.subarray(at, at + 30_000)), 'start', limits)
      expect(endOf(window) - window.start).toBeLessThanOrEqual(limits.bytes)
      expect(textsOf(window)[0]).toBe(lineAt(window.start))
    }
    expect(endOf(window)).toBe(whole.length)
    const [first] = rowsOf(window, 0, 1)
    expect(first?.text).toBe(`line ${(first?.number ?? 0) - 1} é`)
    expect(first?.place).toBe(window.origin)
    const before = window.start
    const from = whole.indexOf(10, before - 20_000) + 1
    const grown = prepend(window, whole.subarray(from, before))
    expect(textsOf(grown)[0]).toBe(lineAt(from))
    expect(rowsOf(grown, rowCount(grown) - rowCount(window), 1)).toEqual([first])
    const back = cut(grown, 'end', { bytes: 60_000, rows: 60_000 })
    expect([back.start, rowsOf(back, 0, 1)[0]?.number]).toEqual([from, rowsOf(grown, 0, 1)[0]?.number])
    expect(textsOf(back)).toEqual(textsOf(grown).slice(0, rowCount(back)))
    expect(whole[endOf(back) - 1]).toBe(10)
  })

  it('is bounded in rows as well: a log of line feeds alone', () => {
    const feeds = new Uint8Array(50_000).fill(10)
    let window = emptyWindow(0)
    for (let turn = 0; turn < 8; turn += 1) window = cut(append(window, feeds), 'start', { bytes: 1e9, rows: 120_000 })
    expect(rowCount(window)).toBeLessThanOrEqual(120_000)
    expect(endOf(window)).toBe(400_000)
  })

  it('breaks a line without end into rows, never within a character', () => {
    const text = `${'漢'.repeat(20_000)}\nnext`
    const window = append(append(emptyWindow(0), bytesOf(text).subarray(0, 40_001)), bytesOf(text).subarray(40_001))
    expect(textsOf(window).join('')).toBe(text.replace('\n', ''))
    expect(textsOf(window).length).toBe(9)
    expect(rowsOf(window, 0, 20).map(({ number }) => number)).toEqual([1, ...Array<null>(7).fill(null), 2])
  })

  it('has no line numbers until its start is known', () => {
    const window = append(emptyWindow(6), bytesOf('three\n'))
    expect(rowsOf(window, 0, 1)[0]?.number).toBeNull()
    const all = prepend(window, bytesOf('a\nb\nc\n'))
    expect(rowsOf(all, 0, 9).map(({ number, place }) => [number, place])).toEqual([
      [1, -3],
      [2, -2],
      [3, -1],
      [4, 0],
    ])
  })

  it('keeps the colour that is on when a line begins', () => {
    const window = append(append(emptyWindow(0), bytesOf('\u001b[32mgreen\nstill\n')), bytesOf('on\u001b[0m\noff'))
    expect(rowsOf(window, 0, 9).map(({ style }) => style)).toEqual([0, 3, 3, 0])
  })

  it('is searched as it reads, without its sequences', () => {
    const window = append(emptyWindow(0), bytesOf('\u001b[31mErr\u001b[0mor: one\nfine\nanother ERROR\nlast error'))
    expect(search(window, 'error')).toEqual([0, 2, 3])
    expect([search(window, ''), search(window, 'nothing'), search(window, 'error', 2)]).toEqual([[], [], [0, 2]])
  })
})
