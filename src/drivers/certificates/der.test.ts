import { describe, expect, it } from 'vitest'
import { bitString, boolean, explicit, implicit, integer, octetString, oid, sequence, set, time, utf8 } from './der.ts'

const hex = (bytes: Buffer): string => bytes.toString('hex')

describe('DER', () => {
  it('writes integers positive and as short as they are', () => {
    expect(hex(integer(Buffer.from([0])))).toBe('020100')
    expect(hex(integer(Buffer.from([0, 0, 5])))).toBe('020105')
    expect(hex(integer(Buffer.from([0x80])))).toBe('02020080')
    expect(hex(integer(Buffer.from([0x7f, 0xff])))).toBe('02027fff')
  })

  it('writes lengths in the short and the long form', () => {
    expect(hex(octetString(Buffer.alloc(127))).slice(0, 4)).toBe('047f')
    expect(hex(octetString(Buffer.alloc(128))).slice(0, 6)).toBe('048180')
    expect(hex(octetString(Buffer.alloc(256))).slice(0, 8)).toBe('04820100')
    expect(hex(octetString(Buffer.alloc(65_536))).slice(0, 10)).toBe('0483010000')
  })

  it('writes object identifiers with parts above 127', () => {
    expect(hex(oid('2.5.4.3'))).toBe('0603550403')
    expect(hex(oid('1.2.840.10045.4.3.2'))).toBe('06082a8648ce3d040302')
  })

  it('writes moments before and after 2050 as RFC 5280 asks', () => {
    expect(
      time(Date.UTC(2026, 10, 21, 9, 5, 7, 999))
        .subarray(2)
        .toString(),
    ).toBe('261121090507Z')
    expect(time(Date.UTC(2049, 11, 31)).at(0)).toBe(0x17)
    expect(
      time(Date.UTC(2050, 0, 1))
        .subarray(2)
        .toString(),
    ).toBe('20500101000000Z')
    expect(time(Date.UTC(2050, 0, 1)).at(0)).toBe(0x18)
  })

  it('writes the rest', () => {
    expect(hex(boolean(true))).toBe('0101ff')
    expect(hex(boolean(false))).toBe('010100')
    expect(hex(utf8('ü'))).toBe('0c02c3bc')
    expect(hex(bitString(Buffer.from([6]), 1))).toBe('03020106')
    expect(hex(sequence(boolean(true), set()))).toBe('30050101ff3100')
    expect(hex(explicit(3, boolean(true)))).toBe('a3030101ff')
    expect(hex(implicit(2, Buffer.from('a')))).toBe('820161')
  })
})
