import { z } from 'zod'
import { CideryError } from '../../../../model/errors.ts'
import { digestOf } from '../../oci-blobs.ts'
import type { DiskIndex, Pack } from './disk-index.ts'
import { annotations, mediaTypes } from './format.ts'

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const descriptor = z.object({ mediaType: z.string(), digest, size: z.int().nonnegative() })

const manifestJson = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(mediaTypes.manifest).optional(),
  config: descriptor,
  layers: z.array(descriptor),
  annotations: z.record(z.string(), z.string()).optional(),
})

export interface DiskManifest {
  readonly index: Pack
  readonly packs: readonly Pack[]
  readonly annotations: Readonly<Record<string, string>>
}

interface Made {
  readonly config: Uint8Array
  readonly bytes: Uint8Array
}

/** Manifest and config of an image. The config is that of a container image with nothing to run, which is what copying tools ask for. */
export function makeManifest({ index, packs, annotations: named }: DiskManifest): Made {
  const layers = [
    { mediaType: mediaTypes.index, digest: index.digest, size: index.sizeBytes },
    ...packs.map(({ digest, sizeBytes }) => ({ mediaType: mediaTypes.pack, digest, size: sizeBytes })),
  ]
  const created = named[annotations.created]
  const config = Buffer.from(
    JSON.stringify({
      ...(created === undefined ? {} : { created }),
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    }),
  )
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    artifactType: mediaTypes.artifact,
    config: { mediaType: mediaTypes.config, digest: digestOf(config), size: config.length },
    layers,
    annotations: named,
  }
  return { config, bytes: Buffer.from(JSON.stringify(manifest)) }
}

/** Reads the manifest of an image of this format; INVALID_INPUT says why it is none. */
export function readDiskManifest(bytes: Uint8Array): DiskManifest {
  const parsed = manifestJson.safeParse(jsonOf(bytes))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw refused(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it is of another shape'}`)
  }
  const { layers, annotations: named = {} } = parsed.data
  const [first, ...packs] = layers
  if (first?.mediaType !== mediaTypes.index) throw refused(`its first layer is ${first?.mediaType ?? 'not there'}, not ${mediaTypes.index}`)
  const other = packs.find(({ mediaType }) => mediaType !== mediaTypes.pack)
  if (other !== undefined) throw refused(`a layer of type ${other.mediaType} is behind the index; packs have ${mediaTypes.pack}`)
  return {
    index: { digest: first.digest, sizeBytes: first.size },
    packs: packs.map(({ digest, size }) => ({ digest, sizeBytes: size })),
    annotations: named,
  }
}

/** A registry keeps what manifests name: an index may use no pack but those. INVALID_INPUT tells of one that is missing. */
export function mustName({ packs }: DiskManifest, index: DiskIndex): void {
  const named = new Map(packs.map(({ digest, sizeBytes }) => [digest, sizeBytes]))
  const missing = index.packs.find(({ digest, sizeBytes }) => named.get(digest) !== sizeBytes)
  if (missing !== undefined)
    throw refused(`its index uses the pack ${missing.digest} of ${missing.sizeBytes} bytes, which is not one of its layers`)
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
  } catch (error) {
    throw new CideryError('INVALID_INPUT', 'the manifest of the image is not JSON', { cause: error })
  }
}

function refused(problem: string): CideryError {
  return new CideryError('INVALID_INPUT', `this is not the manifest of a disk image of cidery: ${problem}`, {
    hint: 'name an image that cidery has pushed',
  })
}
