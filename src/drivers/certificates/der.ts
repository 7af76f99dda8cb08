/** The few shapes of DER (X.690) that a certificate is made of. Each function gives one whole value: tag, length, content. */

const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

function value(tag: number, content: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content])
}

/** One byte below 128, else a byte that says how many follow. */
function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Buffer.from([0x80 | bytes.length, ...bytes])
}

export function sequence(...items: readonly Uint8Array[]): Buffer {
  return value(tags.sequence, Buffer.concat(items))
}

export function set(...items: readonly Uint8Array[]): Buffer {
  return value(tags.set, Buffer.concat(items))
}

/** A positive number in big-endian bytes: without needless zeros in front, with one where the first bit would read as a sign. */
export function integer(bytes: Uint8Array): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const digits = start === -1 ? Buffer.from([0]) : Buffer.from(bytes.subarray(start))
  return value(tags.integer, (digits[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits)
}

export function boolean(is: boolean): Buffer {
  return value(tags.boolean, Buffer.from([is ? 0xff : 0]))
}

export function utf8(text: string): Buffer {
  return value(tags.utf8, Buffer.from(text, 'utf8'))
}

export function octetString(bytes: Uint8Array): Buffer {
  return value(tags.octetString, bytes)
}

/** Bits of whole bytes, of which the last few may be unused. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return value(tags.bitString, Buffer.concat([Buffer.from([unusedBits]), bytes]))
}

/** @example oid('2.5.4.3') // common name */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map((part) => Number.parseInt(part, 10))
  return value(tags.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(number: number): number[] {
  const digits = [number % 128]
  for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest % 128) | 0x80)
  return digits
}

/** A moment in whole seconds; years from 2050 on need the longer form (RFC 5280, 4.1.2.5). */
export function time(at: number): Buffer {
  const digits = `${new Date(at).toISOString().replaceAll(/[-:T]|\..*$/g, '')}Z`
  return Number.parseInt(digits.slice(0, 4), 10) < 2050
    ? value(tags.utcTime, Buffer.from(digits.slice(2)))
    : value(tags.generalizedTime, Buffer.from(digits))
}

/** `[n]` around whole values. */
export function explicit(number: number, ...items: readonly Uint8Array[]): Buffer {
  return value(0xa0 | number, Buffer.concat(items))
}

/** `[n]` in place of the tag of a primitive value. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return value(0x80 | number, content)
}
