import { mkdirSync, readFileSync } from 'node:fs'
import { formatImageReference, parseImageReference } from '../../../model/image/reference.ts'
import type { PushReport, PushTarget } from '../../../ports/images.ts'
import type { Registry, Repository } from '../../../ports/registry.ts'
import { bringBlob, digestOf, sendTogether, writeTags } from '../oci-blobs.ts'
import type { RecordStore } from '../records.ts'
import { imageDirectory, type ImageRecord } from './image-record.ts'
import { tartTypes } from './oci/format.ts'
import { readTartManifest } from './oci/manifest.ts'
import { metadataLabels } from './oci/metadata-label.ts'
import { pushTartImage } from './oci/push.ts'
import type { TartEngineConfig } from './settings.ts'

export interface Pushing {
  readonly config: TartEngineConfig
  readonly images: RecordStore<ImageRecord>
  readonly registry: Registry
  readonly signal: AbortSignal
}

/**
 * Sends an image of this host. One that was pulled goes as it is, under its own digest; a sealed one is packed, but for pieces of its disk that an image of this
 * host, or its base, has in that registry: those keep their layers, which hosts have already.
 */
export async function pushImage(around: Pushing, record: ImageRecord, to: PushTarget): Promise<PushReport> {
  const pushed = (await passOn(around, record, to)) ?? (await pack(around, record, to))
  const [tag = null] = to.tags
  const reference = formatImageReference({ registry: to.registry, repository: to.repository, tag, digest: pushed.digest })
  // It may have been used meanwhile.
  around.images.put({ ...(around.images.get(record.id) ?? record), reference })
  return pushed
}

async function pack({ config, images, registry, signal }: Pushing, record: ImageRecord, to: PushTarget): Promise<PushReport> {
  const { id, metadata, storedAt } = record
  const scratch = `${config.stateDir}/scratch`
  mkdirSync(scratch, { recursive: true, mode: 0o700 })
  const pushed = await pushTartImage(
    imageDirectory(config, record),
    { registry, where: { registry: to.registry, repository: to.repository } },
    {
      signal,
      // The same image is the same manifest whenever it is sent: a push that was cut goes on.
      uploadTime: new Date(metadata?.builtAt ?? storedAt).toISOString(),
      bases: basesOf(images, { id, registry: to.registry, metadata }),
      tags: to.tags,
      labels: metadataLabels(metadata),
      scratch,
      rangeBytes: config.pieceBytes,
    },
  )
  return { digest: pushed.digest, sentBytes: pushed.sentBytes, reusedBytes: pushed.reusedBytes, failedTags: pushed.failedTags }
}

interface Base {
  readonly where: Repository
  readonly digest: string
}

/** What of this host's images, and of what an image was built on, is in a registry. */
function basesOf(
  images: RecordStore<ImageRecord>,
  { id, registry, metadata }: Pick<ImageRecord, 'id' | 'metadata'> & { readonly registry: string },
): readonly Base[] {
  const base = metadata?.base ?? null
  const ofBase = base === null ? [] : referencesIn(base.reference, base.digest)
  const known = images.list().filter((record) => record.phase === 'whole')
  // Those of its own line come first, as its next version is most like them.
  const own = known.filter((record) => record.metadata?.image === metadata?.image && record.id !== id)
  const others = known.filter((record) => !own.includes(record))
  const references = [...own, ...others].flatMap(({ reference }) => (reference === null ? [] : referencesIn(reference, null)))
  const seen = new Set<string>()
  return [...ofBase, ...references].filter(({ where, digest }) => {
    if (where.registry !== registry || seen.has(digest)) return false
    seen.add(digest)
    return true
  })
}

function referencesIn(text: string, digest: string | null): readonly Base[] {
  try {
    const reference = parseImageReference(text)
    const found = reference.digest ?? digest
    return found === null ? [] : [{ where: { registry: reference.registry, repository: reference.repository }, digest: found }]
  } catch {
    // The base of an image may be a name of another kind.
    return []
  }
}

/** Sends an image that was pulled under its own manifest, from where it came; null when that has it no more, or it is a sealed one. */
async function passOn({ config, registry, signal }: Pushing, record: ImageRecord, to: PushTarget): Promise<PushReport | null> {
  if (record.kind !== 'cached') return null
  const from = parseImageReference(record.name)
  const bytes = readFileSync(`${imageDirectory(config, record)}/manifest.json`)
  if (digestOf(bytes) !== from.digest) return null
  const where = { registry: to.registry, repository: to.repository }
  const destination = { registry, where, signal }
  const { ociConfig, config: machine, disk, nvram } = readTartManifest(bytes)
  let [sentBytes, reusedBytes, missing] = [0, 0, false]
  await sendTogether([ociConfig, machine, ...disk, nvram], async ({ digest, sizeBytes }) => {
    const sent = missing ? null : await bringBlob(destination, { digest, sizeBytes, from })
    missing ||= sent === null
    sentBytes += sent ?? 0
    reusedBytes += sent === 0 ? sizeBytes : 0
  })
  if (missing) return null
  const failedTags = await writeTags(destination, { bytes, mediaType: tartTypes.manifest }, to.tags)
  return { digest: from.digest, sentBytes, reusedBytes, failedTags }
}
