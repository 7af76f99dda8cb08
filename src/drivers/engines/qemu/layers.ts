import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { StoredLayer } from '../../../ports/images.ts'
import { allocatedBytes } from '../image-files.ts'
import { cloneDisk } from './disks.ts'
import { finishFolder, partFolder, removeFolder, touch } from './image-folders.ts'
import type { QemuEngineConfig } from './settings.ts'

/** What a layer's disk is a clone of. */
const LayerRecord = z.strictObject({ image: z.string(), parent: z.string().nullable() })
export type LayerRecord = z.infer<typeof LayerRecord>

export function layersDirectory({ stateDir }: Pick<QemuEngineConfig, 'stateDir'>): string {
  return `${stateDir}/layers`
}

const folderOf = (config: QemuEngineConfig, key: string): string => `${layersDirectory(config)}/${key}`

/** The disk of a layer, and the image at the bottom of it; NOT_FOUND when there is no such layer here. */
export function layerOf(config: QemuEngineConfig, key: string): LayerRecord & { readonly disk: string } {
  const folder = folderOf(config, key)
  if (!/^[0-9a-f]{16,64}$/.test(key) || !existsSync(folder)) throw new CideryError('NOT_FOUND', `this host has no layer ${key}`)
  return { ...LayerRecord.parse(JSON.parse(readFileSync(`${folder}/layer.json`, 'utf8'))), disk: `${folder}/disk.qcow2` }
}

/** All layers of a host, in order of key. */
export function storedLayers(config: QemuEngineConfig): readonly (StoredLayer & LayerRecord)[] {
  const parent = layersDirectory(config)
  const keys = existsSync(parent) ? readdirSync(parent).filter((name) => /^[0-9a-f]+$/.test(name)) : []
  return keys.toSorted().map((key) => {
    const { image, parent: below } = layerOf(config, key)
    return {
      key,
      image,
      parent: below,
      sizeBytes: allocatedBytes(folderOf(config, key)),
      lastUsedAt: Math.round(statSync(folderOf(config, key)).mtimeMs),
    }
  })
}

/** Makes the root disk of a machine that is off a layer, and gives the machine a clone of it. The same layer twice is the first. */
export async function keepLayer(
  config: QemuEngineConfig,
  key: string,
  { root, below }: { root: string; below: LayerRecord },
): Promise<void> {
  const folder = folderOf(config, key)
  if (!existsSync(folder)) {
    const part = partFolder(layersDirectory(config), key)
    writeFileSync(`${part}/layer.json`, JSON.stringify(below), { mode: 0o600 })
    renameSync(root, `${part}/disk.qcow2`)
    finishFolder(part, folder)
  }
  await cloneDisk(root, { disk: `${folder}/disk.qcow2`, format: 'qcow2' })
}

/** Layers and machines that stand on a layer. */
export function removeLayer(config: QemuEngineConfig, key: string, users: readonly string[]): void {
  if (!existsSync(folderOf(config, key))) throw new CideryError('NOT_FOUND', `this host has no layer ${key}`)
  if (users.length > 0) throw new CideryError('CONFLICT', `the layer ${key} is in use: ${users.join(', ')}`)
  removeFolder(folderOf(config, key))
}

/** Notes that a builder started from it. */
export function touchLayer(config: QemuEngineConfig, key: string): void {
  mkdirSync(layersDirectory(config), { recursive: true, mode: 0o700 })
  touch(folderOf(config, key))
}
