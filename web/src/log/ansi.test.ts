import { describe, expect, it } from 'vitest'
import { classOf, lastWriting, plainLine, spansOf, styleAfter } from './ansi.ts'

function shown(line: string): readonly (readonly [string, string])[] {
  return spansOf(line, 0).spans.map(({ text, style }) => [text, classOf(style)])
}

describe('a line of terminal text', () => {
  it('is shown in its colours and weights', () => {
    expect(shown('plain \u001b[31mred \u001b[1mbold\u001b[0m end')).toEqual([
      ['plain ', ''],
      ['red ', 'fg1'],
      ['bold', 'fg1 bold'],
      [' end', ''],
    ])
    expect(shown('\u001b[1;4;92mgood\u001b[22;39m line')).toEqual([
      ['good', 'fg10 bold underline'],
      [' line', 'underline'],
    ])
    expect(shown('\u001b[2;3;43mdim\u001b[49;23m no\u001b[m none\u001b[104mb')).toEqual([
      ['dim', 'bg3 dim italic'],
      [' no', 'dim'],
      [' none', ''],
      ['b', 'bg12'],
    ])
  })

  it('takes wide colours for the sixteen that it has, and ignores the others', () => {
    expect(shown('\u001b[38;5;9mnine\u001b[38;5;200m wide\u001b[38;2;1;2;3m true\u001b[48;5;4m back')).toEqual([
      ['nine', 'fg9'],
      [' wide', ''],
      [' true', ''],
      [' back', 'bg4'],
    ])
  })

  it('loses every other sequence and control character', () => {
    const nasty = 'a\u001b]0;title\u0007b\u001b]8;;http://x\u001b\\c\u001b[2Jd\u001bPq\u001b\\e\u0000f\u009bg\u001b(Bh\u001b'
    expect(plainLine(nasty)).toBe('abcdefgh')
    expect(
      shown(nasty)
        .map(([text]) => text)
        .join(''),
    ).toBe('abcdefgh')
    expect(plainLine('tab\there')).toBe('tab\there')
  })

  it('is what was written last after a carriage return', () => {
    expect([lastWriting('10%\r50%\r100%\r'), lastWriting('text\r'), lastWriting('a\rb')]).toEqual(['100%', 'text', 'b'])
    expect(plainLine('\u001b[32m10%\r\u001b[32m20%')).toBe('20%')
  })

  it('hands its style on to the next', () => {
    expect(classOf(styleAfter('\u001b[35mopen', 0))).toBe('fg5')
    expect(styleAfter('no sequence', 7)).toBe(7)
    expect(spansOf('rest', styleAfter('\u001b[35mopen', 0)).spans).toEqual([{ text: 'rest', style: 6 }])
  })
})
