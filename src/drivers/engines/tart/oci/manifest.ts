import { z } from 'zod'
import { CideryError } from '../../../../model/errors.ts'
import { tartAnnotations as names, tartTypes } from './format.ts'

export interface TartBlob {
  /** `sha256:…` */
  readonly digest: string
  readonly sizeBytes: number
}

/** A piece of the disk: bytes `from` to `from + rawBytes` of disk.img. */
export interface TartDiskLayer extends TartBlob {
  readonly from: number
  readonly rawBytes: number
  /** `sha256:…` of the piece when unpacked. */
  readonly rawDigest: string
}

export interface TartManifest {
  readonly ociConfig: TartBlob
  readonly config: TartBlob
  readonly disk: readonly TartDiskLayer[]
  readonly nvram: TartBlob
  readonly diskBytes: number
  readonly annotations: Readonly<Record<string, string>>
}

const descriptor = z.object({
  mediaType: z.string(),
  digest: z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a digest is sha256: and 64 hexadecimal digits'),
  size: z.int().nonnegative(),
  annotations: z.record(z.string(), z.string()).optional(),
})

const manifestJson = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.literal(tartTypes.manifest),
  config: descriptor.extend({ mediaType: z.literal(tartTypes.ociConfig) }),
  layers: z.array(descriptor),
  annotations: z.record(z.string(), z.string()).optional(),
})

type Layer = z.infer<typeof descriptor>

/**
 * Reads the manifest of an image of Tart: the machine's configuration, the pieces of its disk in their order, its NVRAM. INVALID_INPUT says what is not as
 * Tart 2.35 writes it. Stacked images (macOS 27) are UNSUPPORTED.
 */
export function readTartManifest(bytes: Uint8Array): TartManifest {
  const parsed = manifestJson.safeParse(jsonOf(bytes))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw refused(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it is of another shape'}`)
  }
  const { layers, annotations = {}, config } = parsed.data
  const [first, ...rest] = inOrder(layers)
  const last = rest.at(-1)
  if (first === undefined || last === undefined) throw refused('it has no layers')
  const disk = diskLayers(rest.slice(0, -1))
  return {
    ociConfig: blobOf(config),
    config: blobOf(first),
    disk,
    nvram: blobOf(last),
    diskBytes: diskBytesOf(disk, annotations),
    annotations,
  }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
  } catch (error) {
    throw new CideryError('INVALID_INPUT', 'the manifest of the image is not JSON', { cause: error })
  }
}

function refused(problem: string): CideryError {
  return new CideryError('INVALID_INPUT', `this is not the manifest of an image of Tart: ${problem}`, {
    hint: 'name an image that was pushed by Tart 2.20 or newer',
  })
}

function blobOf({ digest, size }: Layer): TartBlob {
  return { digest, sizeBytes: size }
}

const known = new Set<string>([tartTypes.config, tartTypes.disk, tartTypes.nvram])

/** One configuration, at least one piece of a disk, one NVRAM: in this order and nothing else. */
function inOrder(layers: readonly Layer[]): readonly Layer[] {
  for (const [number, { mediaType }] of layers.entries()) if (!known.has(mediaType)) throw stranger(number, mediaType)
  mustBeOne(layers, tartTypes.config)
  mustBeOne(layers, tartTypes.nvram)
  if (layers.length < 3) throw refused(`it has no disk (${tartTypes.disk})`)
  const [first, last] = [layers[0]?.mediaType ?? '', layers.at(-1)?.mediaType ?? '']
  if (first !== tartTypes.config) throw refused(`its first layer is of the type ${first}, not ${tartTypes.config}`)
  if (last !== tartTypes.nvram) throw refused(`its last layer is of the type ${last}, not ${tartTypes.nvram}`)
  return layers
}

function stranger(number: number, mediaType: string): CideryError {
  if (mediaType === tartTypes.oldDisk) return refused(`layers.${number} is of the old type ${mediaType}, which Tart does not pull any more`)
  if (mediaType !== tartTypes.overlay) return refused(`layers.${number} is of the type ${mediaType}`)
  return new CideryError(
    'UNSUPPORTED',
    'the image is a stacked one (its disk lies over that of another image), which cidery cannot prove',
    {
      hint: 'push the machine without --stacked',
    },
  )
}

function mustBeOne(layers: readonly Layer[], type: string): void {
  const count = layers.filter(({ mediaType }) => mediaType === type).length
  if (count !== 1) throw refused(`it has ${count} layers of the type ${type}, not one`)
}

function diskLayers(layers: readonly Layer[]): readonly TartDiskLayer[] {
  let from = 0
  return layers.map((layer, at) => {
    // The configuration is layer 0.
    const number = at + 1
    const rawBytes = wholeNumber(layer.annotations, names.uncompressedSize, `layers.${number}`)
    const rawDigest = layer.annotations?.[names.uncompressedDigest]
    if (rawDigest === undefined) throw refused(`layers.${number} has no annotation ${names.uncompressedDigest}`)
    if (!/^sha256:[0-9a-f]{64}$/.test(rawDigest))
      throw refused(`layers.${number}: ${names.uncompressedDigest} is ${JSON.stringify(rawDigest.slice(0, 100))}`)
    if (rawBytes === 0) throw refused(`layers.${number}: ${names.uncompressedSize} is 0`)
    const read = { ...blobOf(layer), from, rawBytes, rawDigest }
    from += rawBytes
    return read
  })
}

function wholeNumber(annotations: Readonly<Record<string, string>> | undefined, name: string, where: string): number {
  const text = annotations?.[name]
  if (text === undefined) throw refused(`${where} has no annotation ${name}`)
  const value = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value))
    throw refused(`${where}: ${name} is ${JSON.stringify(text.slice(0, 100))}, not a number of bytes`)
  return value
}

function diskBytesOf(disk: readonly TartDiskLayer[], annotations: Readonly<Record<string, string>>): number {
  const sum = disk.reduce((bytes, { rawBytes }) => bytes + rawBytes, 0)
  const named = annotations[names.diskSize] === undefined ? sum : wholeNumber(annotations, names.diskSize, 'annotations')
  if (named !== sum) throw refused(`${names.diskSize} is ${named}, and its pieces have ${sum} bytes together`)
  return sum
}
