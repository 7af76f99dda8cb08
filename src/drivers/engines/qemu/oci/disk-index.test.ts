import { zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decodeIndex, encodeIndex, placesOf, type DiskIndex } from './disk-index.ts'

const hex = (digit: string): string => digit.repeat(64)

const index: DiskIndex = {
  chunkBytes: 4096,
  packs: [{ digest: `sha256:${hex('a')}`, sizeBytes: 1000 }],
  chunks: [
    { digest: hex('1'), pack: 0, offset: 0, length: 400 },
    { digest: hex('2'), pack: 0, offset: 400, length: 600 },
  ],
  files: [
    {
      name: 'disk.raw',
      sizeBytes: 20_000,
      sha256: hex('f'),
      runs: [
        { position: 1, chunk: 0, count: 1 },
        { position: 4, chunk: 1, count: 1 },
      ],
    },
  ],
}

/** The index as it is written. */
const text = JSON.stringify({
  schemaVersion: 1,
  chunkBytes: 4096,
  packs: [[`sha256:${hex('a')}`, 1000]],
  chunks: [
    [hex('1'), 0, 0, 400],
    [hex('2'), 0, 400, 600],
  ],
  files: [
    {
      name: 'disk.raw',
      size: 20_000,
      sha256: hex('f'),
      runs: [
        [1, 0, 1],
        [4, 1, 1],
      ],
    },
  ],
})

describe('the index of a disk image', () => {
  it('reads what it wrote, and knows every place', () => {
    expect(decodeIndex(encodeIndex(index))).toEqual(index)
    expect(decodeIndex(zstdCompressSync(text))).toEqual(index)
    expect([...placesOf(index)]).toEqual([
      { file: 'disk.raw', at: 4096, length: 4096, chunk: 0 },
      { file: 'disk.raw', at: 16_384, length: 3616, chunk: 1 },
    ])
  })

  it.each<[string, readonly [string, string], RegExp]>([
    ['a path as a name', ['"disk.raw"', '"../../etc/passwd"'], /etc\/passwd": a name has/],
    ['a name of a proof', ['"disk.raw"', '"manifest.json"'], /"manifest\.json": a name has/],
    ['one name twice', ['"files":[', `"files":[{"name":"DISK.raw","size":0,"sha256":"${hex('f')}","runs":[]},`], /same name/],
    ['a pack that is not there', ['0,400,600', '1,400,600'], /chunks\.1: there is no pack 1/],
    ['bytes behind its pack', ['400,600', '400,601'], /chunks\.1: bytes 400 to 1001 are not in its pack of 1000/],
    ['an empty frame', ['400,600', '400,0'], /chunks\.1: bytes 400 to 400/],
    ['a place behind the end', ['[4,1,1]', '[5,1,1]'], /there is no place 5 in 20000 bytes/],
    ['places that overlap', ['[4,1,1]', '[1,1,1]'], /chunks overlap at place 1/],
    ['a chunk that is not there', ['[1,0,1],', '[1,0,3],'], /there is no chunk 2/],
    ['a tail that is also in the middle', ['[1,0,1]', '[1,1,1]'], /chunks\.1: it has places of 4096 and of 3616 bytes/],
    ['a chunk without a place', [',[4,1,1]', ''], /chunks\.1: it belongs nowhere/],
    ['another version', ['"schemaVersion":1', '"schemaVersion":2'], /schemaVersion/],
    ['a negative place', ['[1,0,1]', '[-1,0,1]'], /files\.0\.runs/],
    ['more than it should have', ['{"schemaVersion"', '{"more":1,"schemaVersion"'], /more/],
  ])('is refused with %s', (_, [from, to], words) => {
    expect(text).toContain(from)
    expect(() => decodeIndex(zstdCompressSync(text.replace(from, to)))).toThrow(words)
  })

  it('is refused when it is cut, or no JSON', () => {
    expect(() => decodeIndex(encodeIndex(index).subarray(0, 40))).toThrow('cannot be read')
    expect(() => decodeIndex(zstdCompressSync('not JSON'))).toThrow('cannot be read')
    expect(() => decodeIndex(Buffer.from('{}'))).toThrow('cannot be read')
  })
})
