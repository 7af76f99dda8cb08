import { z } from 'zod'
import { ImageMetadata } from '../../../../model/image/stored.ts'
import type { Registry, Repository } from '../../../../ports/registry.ts'
import type { TartManifest } from './manifest.ts'

/** Where a build says what it is: a label of the image's OCI configuration, which Tart carries and does not keep on the host. */
const metadataLabel = 'dev.cidery.image.metadata'

/** Larger configurations are none that Tart or cidery writes. */
const mostBytes = 4 * 1024 ** 2

const OciConfig = z.object({ config: z.object({ Labels: z.record(z.string(), z.string()).optional() }).optional() })

export function metadataLabels(metadata: ImageMetadata | null): Readonly<Record<string, string>> {
  return metadata === null ? {} : { [metadataLabel]: JSON.stringify(metadata) }
}

/** What a build in a registry says of itself; null for an image that cidery did not build. */
export async function readMetadata(
  registry: Registry,
  where: Repository,
  { manifest, signal }: { readonly manifest: TartManifest; readonly signal: AbortSignal },
): Promise<ImageMetadata | null> {
  const { digest, sizeBytes } = manifest.ociConfig
  if (sizeBytes > mostBytes) return null
  const pieces: Uint8Array[] = []
  for await (const piece of registry.readBlob(where, digest, { signal })) pieces.push(piece)
  const config = OciConfig.safeParse(jsonOf(Buffer.concat(pieces).toString('utf8')))
  const label = config.success ? config.data.config?.Labels?.[metadataLabel] : undefined
  const metadata = ImageMetadata.safeParse(label === undefined ? null : jsonOf(label))
  return metadata.success ? metadata.data : null
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
