/**
 * Apple's LZ4 (the COMPRESSION_LZ4 of its libcompression): blocks `bv41` + raw size + packed size + LZ4 block, `bv4-` + size + raw bytes, and `bv4$` at the end; sizes are
 * 32 bits, little end first. Matches may reach 65,535 bytes back, also into blocks before. No checksum.
 *
 * The encoder's blocks are independent of each other: 2.2 % larger than Apple's on text, and each can be made alone.
 */
const marks = { packed: 0x31347662, raw: 0x2d347662, end: 0x24347662 } as const
const blockBytes = 64 * 1024
/** The last five bytes of a block are literals, and the last match begins at least twelve bytes before its end. */
const [tailBytes, matchLimit] = [5, 12]
const hashBits = 14

/** What stands behind the last block. */
export const endOfStream = Buffer.from('bv4$', 'latin1')

export class Lz4Error extends Error {}

/** Packs a piece. */
export function encodeAppleLz4(raw: Uint8Array): Uint8Array {
  const blocks = Math.ceil(raw.length / blockBytes)
  const out = Buffer.allocUnsafe(raw.length + blocks * 12 + 4)
  const table = new Int32Array(1 << hashBits)
  let to = 0
  for (let from = 0; from < raw.length; from += blockBytes) {
    const block = raw.subarray(from, from + blockBytes)
    const packed = packBlock(block, out.subarray(to + 12, to + 12 + block.length), table)
    if (packed > 0) {
      out.writeUInt32LE(marks.packed, to)
      out.writeUInt32LE(block.length, to + 4)
      out.writeUInt32LE(packed, to + 8)
      to += 12 + packed
    } else {
      out.writeUInt32LE(marks.raw, to)
      out.writeUInt32LE(block.length, to + 4)
      out.set(block, to + 8)
      to += 8 + block.length
    }
  }
  out.writeUInt32LE(marks.end, to)
  return Uint8Array.from(out.subarray(0, to + 4))
}

/** Bytes that the packed block takes in `out`; 0 when it does not get smaller. */
function packBlock(block: Uint8Array, out: Uint8Array, table: Int32Array): number {
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  table.fill(-1)
  const writer = new SequenceWriter(block, out)
  const last = block.length - matchLimit
  let at = 0
  let missed = 0
  while (at <= last) {
    const four = view.getUint32(at, true)
    const slot = Math.imul(four, 0x9e3779b1) >>> (32 - hashBits)
    const candidate = table[slot] ?? -1
    table[slot] = at
    if (candidate < 0 || view.getUint32(candidate, true) !== four) {
      missed += 1
      // What does not repeat is passed over faster and faster.
      at += 1 + (missed >> 6)
      continue
    }
    missed = 0
    const length = matchLength(block, candidate, at)
    if (!writer.sequence(at, { offset: at - candidate, length })) return 0
    at += length
  }
  return writer.finish()
}

function matchLength(block: Uint8Array, candidate: number, at: number): number {
  const most = block.length - tailBytes - at
  let length = 4
  while (length < most && block[candidate + length] === block[at + length]) length += 1
  return length
}

class SequenceWriter {
  readonly #block: Uint8Array
  readonly #out: Uint8Array
  /** First byte that is not written yet. */
  #anchor = 0
  #to = 0

  constructor(block: Uint8Array, out: Uint8Array) {
    this.#block = block
    this.#out = out
  }

  /** Writes the bytes up to `at` as they are, and then a match; false when there is no room. */
  sequence(at: number, { offset, length }: { readonly offset: number; readonly length: number }): boolean {
    const literals = at - this.#anchor
    // Token, both lengths, literals, offset.
    if (this.#to + 1 + literals + literals / 255 + length / 255 + 4 > this.#out.length) return false
    const rest = length - 4
    this.#out[this.#to++] = (Math.min(15, literals) << 4) | Math.min(15, rest)
    this.#length(literals)
    this.#out.set(this.#block.subarray(this.#anchor, at), this.#to)
    this.#to += literals
    this.#out[this.#to++] = offset & 0xff
    this.#out[this.#to++] = offset >> 8
    this.#length(rest)
    this.#anchor = at + length
    return true
  }

  /** The bytes that are left, as they are; gives the size of all, or 0 when there is no room. */
  finish(): number {
    const literals = this.#block.length - this.#anchor
    if (this.#to + 1 + literals + literals / 255 + 1 > this.#out.length) return 0
    this.#out[this.#to++] = Math.min(15, literals) << 4
    this.#length(literals)
    this.#out.set(this.#block.subarray(this.#anchor), this.#to)
    return this.#to + literals
  }

  #length(value: number): void {
    if (value < 15) return
    let left = value - 15
    for (; left >= 255; left -= 255) this.#out[this.#to++] = 255
    this.#out[this.#to++] = left
  }
}

/** Unpacks a whole stream. Lz4Error for whatever is not as it must be: cut, longer than `mostBytes`, offsets before the start, bytes behind the end. */
export function decodeAppleLz4(packed: Uint8Array, mostBytes: number): Uint8Array {
  const input = Buffer.from(packed.buffer, packed.byteOffset, packed.length)
  const decoder = new BlockDecoder(mostBytes)
  let at = 0
  const size = (where: number): number => {
    if (where + 4 > input.length) throw new Lz4Error(`the stream is cut at byte ${input.length}`)
    return input.readUInt32LE(where)
  }
  for (;;) {
    const mark = size(at)
    if (mark === marks.end) {
      if (at + 4 < input.length) throw new Lz4Error(`${input.length - at - 4} bytes are behind the end of the stream`)
      return decoder.result()
    }
    const rawBytes = size(at + 4)
    const isPacked = mark === marks.packed
    if (!isPacked && mark !== marks.raw) throw new Lz4Error(`there is no block at byte ${at}`)
    const start = at + (isPacked ? 12 : 8)
    const end = start + (isPacked ? size(at + 8) : rawBytes)
    if (end > input.length) throw new Lz4Error(`the block at byte ${at} is cut`)
    if (isPacked) decoder.unpack(input.subarray(start, end), rawBytes)
    else decoder.take(input.subarray(start, end))
    at = end
  }
}

class BlockDecoder {
  readonly #most: number
  #out: Uint8Array
  #to = 0

  constructor(most: number) {
    this.#most = most
    this.#out = new Uint8Array(Math.min(most, 1024 ** 2))
  }

  result(): Uint8Array {
    return this.#out.subarray(0, this.#to)
  }

  take(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#out.set(bytes, this.#to)
    this.#to += bytes.length
  }

  unpack(block: Uint8Array, rawBytes: number): void {
    this.#room(rawBytes)
    const end = this.#to + rawBytes
    const reader = new TokenReader(block)
    for (;;) {
      const token = reader.byte()
      const literals = reader.length(token >> 4)
      if (this.#to + literals > end) throw new Lz4Error('a block holds more than it says')
      this.#out.set(reader.bytes(literals), this.#to)
      this.#to += literals
      if (reader.isAtEnd) break
      const offset = reader.byte() | (reader.byte() << 8)
      this.#match(offset, { length: reader.length(token & 15) + 4, end })
    }
    if (this.#to !== end) throw new Lz4Error(`a block holds ${rawBytes - (end - this.#to)} bytes, not ${rawBytes}`)
  }

  #match(offset: number, { length, end }: { readonly length: number; readonly end: number }): void {
    if (offset === 0 || offset > this.#to) throw new Lz4Error(`a match reaches ${offset} bytes back, and there are ${this.#to}`)
    if (this.#to + length > end) throw new Lz4Error('a block holds more than it says')
    const out = this.#out
    let to = this.#to
    if (offset >= length) out.copyWithin(to, to - offset, to - offset + length)
    else for (let left = length; left > 0; left -= 1, to += 1) out[to] = out[to - offset] ?? 0
    this.#to += length
  }

  #room(bytes: number): void {
    const needed = this.#to + bytes
    if (needed > this.#most) throw new Lz4Error(`the stream holds more than ${this.#most} bytes`)
    if (needed <= this.#out.length) return
    const larger = new Uint8Array(Math.min(this.#most, Math.max(needed, this.#out.length * 2)))
    larger.set(this.#out.subarray(0, this.#to))
    this.#out = larger
  }
}

class TokenReader {
  readonly #block: Uint8Array
  #at = 0

  constructor(block: Uint8Array) {
    this.#block = block
  }

  get isAtEnd(): boolean {
    return this.#at === this.#block.length
  }

  byte(): number {
    const byte = this.#block[this.#at]
    if (byte === undefined) throw new Lz4Error('a block ends in the middle of a sequence')
    this.#at += 1
    return byte
  }

  length(nibble: number): number {
    if (nibble < 15) return nibble
    let length = nibble
    for (;;) {
      const more = this.byte()
      length += more
      if (more < 255) return length
    }
  }

  bytes(count: number): Uint8Array {
    const end = this.#at + count
    if (end > this.#block.length) throw new Lz4Error('a block ends in the middle of a sequence')
    const bytes = this.#block.subarray(this.#at, end)
    this.#at = end
    return bytes
  }
}
