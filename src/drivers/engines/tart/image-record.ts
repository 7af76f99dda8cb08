import { lstatSync, statSync } from 'node:fs'
import { z } from 'zod'
import { parseImageReference } from '../../../model/image/reference.ts'
import { ImageMetadata, type StoredImage } from '../../../model/image/stored.ts'
import { allocatedBytes } from '../image-files.ts'
import { Process } from './record.ts'
import type { TartEngineConfig } from './settings.ts'

/** What the engine knows of one of its images; written before Tart is asked for anything. */
export const ImageRecord = z.strictObject({
  id: z.string(),
  /** In Tart's cache of what was pulled, or a machine of Tart that never runs. */
  kind: z.enum(['cached', 'local']),
  /** What Tart calls it: `host/namespace@sha256:…`, or the machine. */
  name: z.string(),
  /** It was not there before this engine asked for it: its bytes go with it. */
  ours: z.boolean(),
  /** `coming` until all of it is there and proved, `going` from the first step of its end; a crash leaves what is to be cleaned. */
  phase: z.enum(['coming', 'whole', 'going']),
  /** `tart pull`. */
  puller: Process.nullable(),
  /** Where it came from or was sent to last. */
  reference: z.string().nullable(),
  metadata: ImageMetadata.nullable(),
  /** SHA-256 of its files when it was sealed, by name; null: its manifest proves it. */
  sums: z.record(z.string(), z.string()).nullable(),
  storedAt: z.number(),
  lastUsedAt: z.number(),
})
export type ImageRecord = z.infer<typeof ImageRecord>

/** Files that make a machine of Tart; a directory without one of them is none to it. */
export const machineParts = ['config.json', 'disk.img', 'nvram.bin'] as const

/** Directory of a local machine of Tart. */
export function machineDirectory({ home }: Pick<TartEngineConfig, 'home'>, name: string): string {
  return `${home}/vms/${name}`
}

/** Directory of an image of Tart's cache, by `host/namespace@sha256:…`. */
export function cachedDirectory({ home }: Pick<TartEngineConfig, 'home'>, name: string): string {
  const { registry, repository, digest } = parseImageReference(name)
  return `${home}/cache/OCIs/${registry.replaceAll(':', '%3A')}/${repository}/${digest ?? ''}`
}

export function imageDirectory(config: Pick<TartEngineConfig, 'home'>, { kind, name }: Pick<ImageRecord, 'kind' | 'name'>): string {
  return kind === 'cached' ? cachedDirectory(config, name) : machineDirectory(config, name)
}

/** Whether Tart has it. A link in place of an image is what a registry makes that gives another one than was asked for. */
export function isMachine(directory: string): boolean {
  const kind = (path: string): 'folder' | 'file' | null => {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats?.isDirectory() === true) return 'folder'
    return stats?.isFile() === true ? 'file' : null
  }
  return kind(directory) === 'folder' && machineParts.every((name) => kind(`${directory}/${name}`) === 'file')
}

/** Whether a machine was put to sleep with what it had in memory: its disk is not whole. */
export function isSuspended(directory: string): boolean {
  return statSync(`${directory}/state.vzvmsave`, { throwIfNoEntry: false }) !== undefined
}

/** A record as the fleet sees it. Nothing is hashed. */
export function storedImage(config: TartEngineConfig, record: ImageRecord, users: readonly string[]): StoredImage {
  const { id, metadata, reference, storedAt, lastUsedAt, kind, name } = record
  const directory = imageDirectory(config, record)
  const isThere = isMachine(directory)
  const place = kind === 'cached' ? 'Tart’s cache has it no more' : 'Tart has the machine no more'
  return {
    id,
    engine: 'tart',
    metadata,
    reference,
    sizeBytes: isThere ? allocatedBytes(directory) : 0,
    storedAt,
    lastUsedAt,
    users: [...users],
    problems: isThere ? [] : [`${place}: ${name}`],
  }
}
