import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeLogFilter } from './log-filter.ts'

function filtered(...chunks: (string | Uint8Array)[]): string {
  const filter = makeLogFilter()
  return chunks.map((chunk) => filter.filter(Buffer.from(chunk))).join('') + filter.end()
}

const esc = '\u001B'

describe('the log filter of terminals', () => {
  it('keeps text, line breaks, tabs, colours and erase-line', () => {
    const text = `a\tb\r\n${esc}[1;31mred${esc}[0m ${esc}[38;2;1;2;3mtrue${esc}[m ${esc}[Kpröpér 日本 😀\n`
    expect(filtered(text)).toBe(text)
  })

  it.each([
    ['a title', `${esc}]0;evil\u0007`],
    ['a title that ends with ST', `${esc}]2;evil${esc}\\`],
    ['the clipboard', `${esc}]52;c;ZXZpbA==\u0007`],
    ['a link', `${esc}]8;;http://evil\u0007`],
    ['cursor movement', `${esc}[2J${esc}[1;1H${esc}[10A`],
    ['a question to the terminal', `${esc}[6n${esc}[c${esc}[>q`],
    ['private modes', `${esc}[?1049h${esc}[?25l`],
    ['a device string', `${esc}P+q544e${esc}\\`],
    ['an application string', `${esc}_evil${esc}\\`],
    ['a reset', `${esc}c`],
    ['a character set', `${esc}(0`],
    ['8-bit controls', '\u009B2J\u009D0;evil\u0007\u0090x\u009C'],
    ['bells and nulls', '\u0007\u0000\u0001'],
    ['text that is turned around', '\u202E\u2066'],
  ])('drops %s', (_name, sequence) => {
    expect(filtered(`before${sequence}after`)).toBe('beforeafter')
  })

  it('ends an unfinished sequence at a line break, so that no job hides the rest of its log', () => {
    expect(filtered(`${esc}]0;never closed\nnext`)).toBe('\nnext')
  })

  it('gives the same however the bytes are cut, and never lets a dangerous sequence through', () => {
    const part = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom(`${esc}[31m`, `${esc}]52;c;x\u0007`, `${esc}[2J`, esc, '\u009B', 'm', '\n', `${esc}P`, `${esc}\\`),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(40), { maxLength: 6 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(''))
        const points = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
        const whole = filtered(bytes)
        expect(filtered(...points.slice(1).map((end, index) => bytes.subarray(points[index], end)))).toBe(whole)
        expect(whole.replaceAll(/\u001B\[[0-9;:]*[mK]/g, '')).not.toMatch(/[\u0000-\u0007\u000B\u000C\u000E-\u001F\u007F-\u009F]/)
      }),
      { numRuns: 500 },
    )
  })
})
