/** Types of blobs. What stands behind `+zstd` in them is said by their first bytes, too, so that tools which look leave them as they are. */
export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  artifact: 'application/vnd.cidery.disk-image.v1',
  index: 'application/vnd.cidery.disk-image.index.v1.json+zstd',
  pack: 'application/vnd.cidery.disk-image.pack.v1',
} as const

export const annotations = {
  title: 'org.opencontainers.image.title',
  created: 'org.opencontainers.image.created',
  /** image.json, as one line. */
  metadata: 'dev.cidery.image.metadata',
  /** Bytes of all files together. */
  sizeBytes: 'dev.cidery.image.size',
  /** Bytes of it that are not zeros. */
  dataBytes: 'dev.cidery.image.data',
} as const

/** Metadata of an image, a file like the others; its text is also an annotation of the manifest. */
export const metadataFile = 'image.json'

/** What a folder holds besides the files of the image: what they are proved against. */
export const proofFiles = { manifest: 'manifest.json', index: 'index.json.zst' } as const

/** A file of an image: no path, no dot in front, nothing that a shell or another system would stumble over. */
export const fileNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

export function isFileName(name: string): boolean {
  return fileNamePattern.test(name) && !(Object.values(proofFiles) as string[]).includes(name)
}

/** Why 128 KiB, level 3 and 32 MiB: docs/decisions/0111-disk-images-in-registries.md has the measurements. */
export const packing = {
  chunkBytes: 128 * 1024,
  packBytes: 32 * 1024 ** 2,
  level: 3,
  /** A pack of an earlier image is used again when at least this share of its bytes still counts. */
  liveShare: 0.5,
  /** Packs below a quarter of the size are used again while there are not more of them; then they are packed together anew. */
  smallPacks: 32,
} as const

export interface Packing {
  readonly chunkBytes: number
  readonly packBytes: number
  readonly level: number
  readonly liveShare: number
  readonly smallPacks: number
}
