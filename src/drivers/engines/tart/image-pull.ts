import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { CideryError } from '../../../model/errors.ts'
import { formatImageReference, type ImageReference } from '../../../model/image/reference.ts'
import type { ImageMetadata } from '../../../model/image/stored.ts'
import type { TransferOptions } from '../../../ports/images.ts'
import type { Registry } from '../../../ports/registry.ts'
import type { RecordStore } from '../records.ts'
import type { Around } from './door.ts'
import { cachedDirectory, isMachine, type ImageRecord } from './image-record.ts'
import { removeBytes } from './image-removing.ts'
import { readTartManifest, type TartManifest } from './oci/manifest.ts'
import { readMetadata } from './oci/metadata-label.ts'
import { verifyCachedImage } from './oci/verify-cached.ts'
import { killProcess } from './processes.ts'

/** A hundred gigabytes over a slow line. */
const pullMs = 12 * 60 * 60_000

export interface Pulling extends Around {
  readonly images: RecordStore<ImageRecord>
  readonly registry: Registry
}

type DigestReference = ImageReference & { readonly digest: string }

/** An image of a registry, and what it is called here. */
interface Wanted {
  readonly id: string
  readonly from: DigestReference
}

/**
 * Has Tart pull an image by its digest, and proves every byte of it: Tart compares neither the manifest nor what it unpacks with any digest. An image that is not
 * what was asked for is deleted again, unless somebody had it before; DIGEST_MISMATCH has what is wrong with it.
 */
export async function pullImage(around: Pulling, { id, from }: Wanted, options: TransferOptions): Promise<ImageRecord> {
  const { config, images, registry } = around
  const { signal } = options
  const name = tartName(from)
  const directory = cachedDirectory(config, name)
  const known = images.get(id)
  if (known !== null && known.name !== name) throw new CideryError('CONFLICT', `the image ${id} of this host is another one: ${known.name}`)
  if (known?.phase === 'whole' && isMachine(directory)) return known
  // A pull that an agent left behind when it died works for nobody.
  if (known !== null) await endPull(known)
  const { manifest, metadata } = await lookAhead(registry, from, signal)
  await refuseWithoutRoom(around, { manifest, isThere: isMachine(directory) })
  const now = Date.now()
  const coming: ImageRecord = {
    id,
    kind: 'cached',
    name,
    ours: known?.ours ?? isOurs(images, name, directory),
    phase: 'coming',
    puller: null,
    reference: formatImageReference(from),
    metadata,
    sums: null,
    storedAt: now,
    lastUsedAt: now,
  }
  images.put(coming)
  await callPull(around, coming, { manifest, options })
  const faults = await verifyCachedImage(directory, from.digest, { signal })
  if (faults.length > 0) {
    const kept = coming.ours ? '' : `; it was in Tart’s cache before, and stays there: tart delete ${name}`
    await removeBytes(around, coming)
    images.remove(id)
    throw new CideryError('DIGEST_MISMATCH', `${name} is not what its digest says: ${faults.slice(0, 5).join('; ')}${kept}`, {
      details: { faults: faults.slice(0, 50) },
    })
  }
  return images.put({ ...coming, phase: 'whole', storedAt: Date.now(), lastUsedAt: Date.now() })
}

function tartName({ registry, repository, digest }: DigestReference): string {
  return `${registry}/${repository}@${digest}`
}

/** Whether an image goes with its last record: what a person pulled before stays that person's. */
function isOurs(images: RecordStore<ImageRecord>, name: string, directory: string): boolean {
  const other = images.list().find((record) => record.name === name)
  return other?.ours ?? lstatSync(directory, { throwIfNoEntry: false }) === undefined
}

/** Ends the `tart pull` of a record, when it still runs. */
export async function endPull({ puller, name }: ImageRecord): Promise<void> {
  if (puller === null || (await killProcess(puller))) return
  throw new CideryError('ENGINE_FAILED', `tart pull of ${name} (pid ${puller.pid}) does not end`)
}

export async function lookAhead(
  registry: Registry,
  from: DigestReference,
  signal: AbortSignal,
): Promise<{ readonly manifest: TartManifest; readonly metadata: ImageMetadata | null }> {
  const { bytes } = await registry.readManifest(from, from.digest, signal)
  const manifest = readTartManifest(bytes)
  return { manifest, metadata: await readMetadata(registry, from, { manifest, signal }) }
}

const packedBytes = ({ disk }: TartManifest): number => disk.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

/** An image takes at least what it has packed, at most its whole disk. */
async function refuseWithoutRoom(
  { config }: Around,
  { manifest, isThere }: { readonly manifest: TartManifest; readonly isThere: boolean },
): Promise<void> {
  if (isThere) return
  if (!existsSync(config.home)) mkdirSync(config.home, { recursive: true })
  const { bavail, bsize } = await statfs(config.home)
  const [needed, free] = [packedBytes(manifest), bavail * bsize]
  if (free >= needed) return
  throw new CideryError('STORAGE_FULL', `the image takes at least ${needed} bytes, and ${free} are free below ${config.home}`, {
    details: { neededBytes: needed },
  })
}

async function callPull(
  { config, tart, images }: Pulling,
  coming: ImageRecord,
  { manifest, options: { signal, onProgress } }: { readonly manifest: TartManifest; readonly options: TransferOptions },
): Promise<void> {
  const [host = ''] = coming.name.split('/')
  const total = packedBytes(manifest)
  const onStdout = percentReader((percent) => {
    const done = Math.round((total * percent) / 100)
    onProgress?.({ done, total, network: done })
  })
  onProgress?.({ done: 0, total, network: 0 })
  const told = await tart.call(['pull', ...(isPlain(config.insecure, host) ? ['--insecure'] : []), coming.name], {
    timeoutMs: pullMs,
    signal,
    onStdout,
    onStart: (pid) => void images.put({ ...coming, puller: { pid, startedAt: Date.now() } }),
  })
  signal.throwIfAborted()
  if (told.code === 0) return
  // A crash for want of room is a signal's, with its reason on stderr.
  const text = told.stderr.trim() === '' && told.code === null ? 'it took too long' : `${told.stdout}\n${told.stderr}`
  const error = await tart.error(`${coming.name} could not be pulled`, text)
  if (error.code !== 'STORAGE_FULL') throw error
  throw new CideryError('STORAGE_FULL', error.message, { hint: error.hint, details: { ...error.details, neededBytes: manifest.diskBytes } })
}

/** Whether a registry is spoken to without TLS: on loopback, or where the operator says so. */
function isPlain(insecure: ReadonlySet<string>, host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host) || insecure.has(host.toLowerCase())
}

/** Finds the lines `NN%` in what Tart prints, however it is cut into pieces. */
function percentReader(onPercent: (percent: number) => void): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n')
    // A line is never so long; what is, is none.
    rest = (lines.pop() ?? '').slice(-1000)
    for (const line of lines) {
      const percent = /^(\d{1,3})%$/.exec(line.trim())?.[1]
      if (percent !== undefined) onPercent(Math.min(100, Number(percent)))
    }
  }
}
