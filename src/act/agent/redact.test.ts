import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redact, redactionFor, undecided } from './redact.ts'

const secretText = fc
  .string({ unit: fc.constantFrom(...'abcAB12+/=\n "$é'), minLength: 4, maxLength: 40 })
  .filter((text) => text.trim().length >= 4)
const noise = fc.string({ unit: fc.constantFrom(...'abcAB12+/=\n xyz'), maxLength: 200 })

function hidden(text: string, secrets: Readonly<Record<string, string>>): string {
  return redact(Buffer.from(text), redactionFor(secrets)).toString()
}

describe('redaction of a log', () => {
  it('hides a value, its base64 at any place, its lines, and its forms in JSON and URLs', () => {
    const secret = 'p@ss "word"/ü'
    const key = 'first line of a key\nsecond line of a key\n'
    const b64 = (text: string) => Buffer.from(text).toString('base64')
    expect(hidden(`x ${secret} y`, { secret })).not.toContain('word')
    expect(hidden(JSON.stringify({ secret }), { secret })).not.toContain('word')
    expect(hidden(encodeURIComponent(secret), { secret })).not.toContain('word')
    expect(hidden('  second line of a key  \r\n', { key })).toBe('  ********************  \r\n')
    for (const before of ['', 'a', 'ab', 'abc', 'user:']) {
      const text = b64(`${before}long-enough-token${before}`)
      const shown = hidden(text, { token: 'long-enough-token' })
      expect(shown.match(/\*/g)?.length).toBeGreaterThanOrEqual(21)
    }
  })

  it('keeps length and line breaks, and every byte that belongs to no secret', () => {
    fc.assert(
      fc.property(noise, secretText, noise, (before, secret, after) => {
        const text = Buffer.from(before + secret + after)
        const shown = redact(text, redactionFor({ secret }))
        expect(shown.length).toBe(text.length)
        for (const [at, byte] of shown.entries()) expect(byte === text[at] || byte === 0x2a).toBe(true)
        expect([...shown].filter((byte) => byte === 0x0a).length).toBe([...text].filter((byte) => byte === 0x0a).length)
        expect(redact(Buffer.from('unrelated: 98765'), redactionFor({ secret })).toString()).toBe('unrelated: 98765')
      }),
    )
  })

  it('never lets a secret through, wherever the log is cut into pieces', () => {
    fc.assert(
      fc.property(
        noise,
        fc.array(secretText, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(400), { maxLength: 8 }),
        (around, values, cuts) => {
          const secrets = Object.fromEntries(values.map((value, place) => [`s${place}`, value]))
          const redaction = redactionFor(secrets)
          const text = Buffer.from(around + values.join(around.slice(0, 7)) + around + values.join(''))
          const whole = redact(text, redaction)
          // As the upload does it: pieces with a margin, and a beginning of a secret at the end kept back until more is there.
          const ends = [...new Set([...cuts.map((cut) => Math.min(cut, text.length)), text.length])].toSorted((a, b) => a - b)
          const sent: Buffer[] = []
          let held = 0
          for (const end of ends) {
            const start = Math.max(0, held - Math.max(0, redaction.longest - 1))
            const seen = text.subarray(start, end)
            const certain = seen.length - (end === text.length ? 0 : undecided(seen, redaction))
            const piece = redact(seen, redaction).subarray(held - start, Math.max(held - start, certain))
            sent.push(piece)
            held += piece.length
          }
          expect(Buffer.concat(sent).toString('latin1')).toBe(whole.toString('latin1'))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('names values that are too short to be hidden', () => {
    expect(redactionFor({ flag: '1', long: 'abcdef' })).toMatchObject({ tooShort: ['flag'] })
    expect(hidden('1 is one', { flag: '1' })).toBe('1 is one')
  })
})
