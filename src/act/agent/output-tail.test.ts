import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outputTail, outputTailBytes, withoutControls } from './output-tail.ts'

describe('output of a command on a host', () => {
  it('has no escape sequence and no control character', () => {
    expect(withoutControls('\u001b[1;31mred\u001b[0m \u001b]0;title\u0007\u001b(Bdone\r\n\u0008\u009b5mx\tend')).toBe('red done\n5mx\tend')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(withoutControls(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      }),
    )
  })

  it('is bounded, ends with whole lines while it goes on, and is complete at the end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', '\n', 'é', '🦀') }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 20_000 }),
        (parts, times) => {
          const text = parts.join('').repeat(times).slice(0, 300_000)
          const going = outputTail(Buffer.from(text), false)
          const ended = outputTail(Buffer.from(text), true)
          expect(going === '' || going.endsWith('\n')).toBe(true)
          for (const tail of [going, ended]) expect(Buffer.byteLength(tail)).toBeLessThanOrEqual(outputTailBytes)
          expect(text.toWellFormed().endsWith(ended) || !text.isWellFormed()).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
  })
})
