import { describe, expect, it } from 'vitest'
import { CideryError } from '../../../../model/errors.ts'
import { readTartManifest } from './manifest.ts'

interface Layer {
  mediaType: string
  digest: string
  size: number
  annotations: Record<string, string>
}

const type = (name: string): string => `application/vnd.cirruslabs.tart.${name}`
const digest = (digit: string): string => `sha256:${digit.repeat(64)}`

function disk(digit: string, bytes: number): Layer {
  const annotations = {
    'org.cirruslabs.tart.uncompressed-size': String(bytes),
    'org.cirruslabs.tart.uncompressed-content-digest': digest('a'),
  }
  return { mediaType: type('disk.v2'), digest: digest(digit), size: 100, annotations }
}

function manifest(): {
  mediaType: string
  schemaVersion: number
  config: Layer
  layers: [Layer, Layer, Layer, Layer]
  annotations: Record<string, string>
} {
  return {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digest('0'), size: 10, annotations: {} },
    layers: [
      { mediaType: type('config.v1'), digest: digest('1'), size: 20, annotations: {} },
      disk('2', 536_870_912),
      disk('3', 1000),
      { mediaType: type('nvram.v1'), digest: digest('4'), size: 30, annotations: {} },
    ],
    annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '536871912' },
  }
}

function read(change: (value: ReturnType<typeof manifest>) => void): ReturnType<typeof readTartManifest> {
  const value = manifest()
  change(value)
  return readTartManifest(Buffer.from(JSON.stringify(value)))
}

function refusal(change: (value: ReturnType<typeof manifest>) => void): string {
  try {
    read(change)
  } catch (error) {
    expect(error).toBeInstanceOf(CideryError)
    return `${(error as CideryError).code}: ${(error as CideryError).message}`
  }
  return 'it was read'
}

describe('the manifest of an image of Tart', () => {
  it('is read as it is written', () => {
    expect(read(() => undefined)).toEqual({
      ociConfig: { digest: digest('0'), sizeBytes: 10 },
      config: { digest: digest('1'), sizeBytes: 20 },
      disk: [
        { digest: digest('2'), sizeBytes: 100, from: 0, rawBytes: 536_870_912, rawDigest: digest('a') },
        { digest: digest('3'), sizeBytes: 100, from: 536_870_912, rawBytes: 1000, rawDigest: digest('a') },
      ],
      nvram: { digest: digest('4'), sizeBytes: 30 },
      diskBytes: 536_871_912,
      annotations: { 'org.cirruslabs.tart.uncompressed-disk-size': '536871912' },
    })
  })

  const size = 'org.cirruslabs.tart.uncompressed-size'
  const content = 'org.cirruslabs.tart.uncompressed-content-digest'
  it.each<[string, (value: ReturnType<typeof manifest>) => void, RegExp]>([
    [
      'an old disk',
      ({ layers }) => void (layers[1].mediaType = type('disk.v1')),
      /INVALID_INPUT: .*layers\.1 is of the old type .*disk\.v1/,
    ],
    ['a stacked disk', ({ layers }) => void (layers[2].mediaType = type('disk.asif.overlay.v1')), /UNSUPPORTED: .*stacked/],
    ['a stranger', ({ layers }) => void (layers[2].mediaType = 'text/plain'), /layers\.2 is of the type text\/plain/],
    ['two configurations', ({ layers }) => void layers.splice(1, 0, layers[0]), /2 layers of the type .*config\.v1, not one/],
    ['no NVRAM', ({ layers }) => void layers.pop(), /0 layers of the type .*nvram\.v1, not one/],
    ['no disk', ({ layers }) => void layers.splice(1, 2), /it has no disk/],
    ['a disk before the configuration', ({ layers }) => void layers.reverse(), /its first layer is of the type .*nvram/],
    ['a disk behind the NVRAM', ({ layers }) => void layers.push(...layers.splice(1, 1)), /its last layer is of the type .*disk\.v2/],
    ['no size', ({ layers }) => void delete layers[1].annotations[size], /layers\.1 has no annotation .*uncompressed-size/],
    ['no digest', ({ layers }) => void delete layers[2].annotations[content], /layers\.2 has no annotation .*content-digest/],
    ['a size in words', ({ layers }) => void (layers[1].annotations[size] = '1e3'), /layers\.1: .*uncompressed-size is "1e3"/],
    ['a size of nothing', ({ layers }) => void (layers[1].annotations[size] = '0'), /layers\.1: .*uncompressed-size is 0/],
    ['a digest that is none', ({ layers }) => void (layers[1].annotations[content] = 'md5:1'), /layers\.1: .*content-digest is "md5:1"/],
    [
      'another sum',
      ({ annotations }) => void (annotations['org.cirruslabs.tart.uncompressed-disk-size'] = '5'),
      /is 5, and its pieces have 536871912/,
    ],
    ['an index', (value) => void (value.mediaType = 'application/vnd.oci.image.index.v1+json'), /mediaType/],
    ['a digest of a layer that is none', ({ layers }) => void (layers[0].digest = 'sha256:12'), /layers\.0\.digest: a digest is/],
  ])('is refused with %s', (_, change, words) => {
    expect(refusal(change)).toMatch(words)
  })

  it('is refused when it is no JSON', () => {
    expect(() => readTartManifest(Buffer.from('<html>'))).toThrow('not JSON')
  })
})
