import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from './canonical-json.ts'

describe('canonical JSON', () => {
  it('means the same as the value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('has one spelling, whatever the order of keys', () => {
    const shuffled = fc
      .dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue())
      .chain((object) =>
        fc.tuple(fc.constant(object), fc.shuffledSubarray(Object.entries(object), { minLength: Object.keys(object).length })),
      )
    fc.assert(
      fc.property(shuffled, ([object, entries]) => {
        expect(canonicalJson(Object.fromEntries(entries))).toBe(canonicalJson(object))
      }),
    )
  })

  it('is the same after a way through JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(value))
      }),
    )
  })

  it('sorts keys and leaves out what is undefined', () => {
    expect(canonicalJson({ b: 1, a: [true, null, undefined], c: undefined })).toBe('{"a":[true,null,null],"b":1}')
    expect(canonicalJson(JSON.parse('{"__proto__":1,"a":{"z":0,"y":-0}}'))).toBe('{"__proto__":1,"a":{"y":0,"z":0}}')
  })

  it('refuses what JSON cannot say', () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, Symbol('x'), undefined])
      expect(() => canonicalJson(value)).toThrow(TypeError)
  })
})
