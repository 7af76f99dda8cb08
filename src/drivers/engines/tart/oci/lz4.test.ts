import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeAppleLz4, encodeAppleLz4, Lz4Error } from './lz4.ts'

function expectRoundTrip(raw: Uint8Array): number {
  const packed = encodeAppleLz4(raw)
  expect(Buffer.from(decodeAppleLz4(packed, raw.length)).equals(raw)).toBe(true)
  return packed.length
}

/** Text that repeats itself near and far, with pieces that do not. */
const texts = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 3000 }), fc.uint8Array({ minLength: 1, maxLength: 40 })), {
    maxLength: 60,
  })
  .map((parts) =>
    Buffer.concat(
      parts.map(([kind, length, bytes]) => {
        if (kind === 0) return Buffer.alloc(length * 30)
        if (kind === 1) return Buffer.from(Array.from({ length }, (_, at) => (at * 7919 + length) & 0xff))
        return Buffer.alloc(kind === 2 ? bytes.length : length, bytes)
      }),
    ),
  )

describe("Apple's LZ4", () => {
  it('gives back every text', () => {
    fc.assert(
      fc.property(texts, (raw) => void expectRoundTrip(raw)),
      { numRuns: 150 },
    )
  })

  it('gives back every length around the edges of a block', () => {
    const raw = Buffer.from('abcdefgh'.repeat(20_000))
    for (const length of [0, 1, 4, 5, 12, 13, 17, 65_535, 65_536, 65_537, 65_548, 131_072, 131_077])
      expectRoundTrip(raw.subarray(0, length))
  })

  it("reads what Apple's own library made", () => {
    const packed = Buffer.from('6276342d0e00000048656c6c6f2c20576f726c64210a62763424', 'hex')
    expect(Buffer.from(decodeAppleLz4(packed, 100)).toString()).toBe('Hello, World!\n')
    expect(Buffer.from(encodeAppleLz4(Buffer.from('Hello, World!\n')))).toEqual(packed)
  })

  it('makes zeros small, and random bytes hardly larger', () => {
    expect(expectRoundTrip(Buffer.alloc(4 * 1024 ** 2))).toBeLessThan(22_000)
    expect(expectRoundTrip(randomBytes(200_000))).toBeLessThan(200_000 + 4 * 8 + 5)
  })

  it('reads blocks that reach into the ones before, as Apple packs them', () => {
    const block = (raw: number, bytes: readonly number[]): Buffer => {
      const head = Buffer.alloc(12)
      head.write('bv41', 'latin1')
      head.writeUInt32LE(raw, 4)
      head.writeUInt32LE(bytes.length, 8)
      return Buffer.concat([head, Buffer.from(bytes)])
    }
    const end = Buffer.from('bv4$', 'latin1')
    const raw = Buffer.concat([Buffer.from('bv4-', 'latin1'), Buffer.from([4, 0, 0, 0]), Buffer.from('wxyz')])
    // Four bytes from four back, one literal; then ten from nine back, which repeats what it writes.
    const stream = Buffer.concat([raw, block(5, [0x00, 4, 0, 0x10, 0x21]), block(11, [0x06, 9, 0, 0x10, 0x3f]), end])
    expect(Buffer.from(decodeAppleLz4(stream, 100)).toString('latin1')).toBe('wxyzwxyz!wxyzwxyz!w?')
    expect(() => decodeAppleLz4(stream, 19)).toThrow('more than 19 bytes')
  })

  it('refuses what is cut, has something behind its end, or reaches before its start', () => {
    const packed = Buffer.from(encodeAppleLz4(Buffer.from('hello hello hello hello hello hello')))
    for (let length = 0; length < packed.length; length += 1)
      expect(() => decodeAppleLz4(packed.subarray(0, length), 1000)).toThrow(Lz4Error)
    expect(() => decodeAppleLz4(Buffer.concat([packed, Buffer.from([0])]), 1000)).toThrow('behind the end')
    const offset = packed.indexOf(Buffer.from([6, 0]), 12)
    for (const bad of [0, 60_000]) {
      const changed = Buffer.from(packed)
      changed.writeUInt16LE(bad, offset)
      expect(() => decodeAppleLz4(changed, 1000)).toThrow('bytes back')
    }
  })

  it('never gives more than it may, whatever the bytes are', () => {
    fc.assert(
      fc.property(texts, fc.nat(), fc.integer({ min: 0, max: 255 }), (raw, where, value) => {
        const packed = Buffer.from(encodeAppleLz4(raw))
        packed[where % packed.length] = value
        try {
          expect(decodeAppleLz4(packed, raw.length).length).toBeLessThanOrEqual(raw.length)
        } catch (error) {
          expect(error).toBeInstanceOf(Lz4Error)
        }
      }),
      { numRuns: 150 },
    )
  })
})
