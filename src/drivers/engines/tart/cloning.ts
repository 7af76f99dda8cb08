import { utimesSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { Around } from './door.ts'
import { machineDirectory, type ImageRecord } from './image-record.ts'
import { brokenMachinesProblem, fitting, growing, sourceOf, storedRecord, type KnownImages } from './images.ts'
import type { OwnNames } from './own-names.ts'
import type { MachineRecord } from './record.ts'

/** A clone shares its blocks with the image; it only takes long where the disk has to be copied. */
export const cloneMs = 10 * 60_000

export interface Cloning extends Around, KnownImages {
  readonly names: OwnNames
}

/** What Tart calls that of which a machine is to be made. UNSUPPORTED for an image, NOT_FOUND for a layer, that this host does not have. */
export function originOf(around: Cloning, { image, builder }: Pick<MachineRecord, 'image' | 'builder'>): string {
  const layer = builder?.layer ?? null
  return layer === null ? sourceOf(around, image === '' ? null : image) : layerName(around, layer)
}

function layerName({ config, names }: Cloning, key: string): string {
  const name = names.layer(key)
  const now = new Date()
  try {
    utimesSync(machineDirectory(config, name), now, now)
    return name
  } catch {
    throw new CideryError('NOT_FOUND', `this host has no layer ${key}`)
  }
}

/** Notes that a machine is made of a stored image now: those that nobody uses are the first to go. */
export function noteUse({ config, images }: KnownImages, id: string): void {
  const record: ImageRecord | null = config.images.has(id) ? null : storedRecord({ config, images }, id)
  if (record !== null) images.put({ ...record, lastUsedAt: Date.now() })
}

/** Makes the machine of a record, which nobody ran yet. */
export async function cloneMachine(around: Cloning, record: MachineRecord, origin: string): Promise<Pick<MachineRecord, 'os' | 'notes'>> {
  const { config, tart } = around
  const { name, shape, builder } = record
  const told = await tart.call(['clone', origin, name], cloneMs)
  if (told.code !== 0) {
    const culprit = told.fault === 'configBroken' ? brokenMachinesProblem(config) : null
    throw await tart.error(
      `tart clone failed${culprit === null ? '' : `: ${culprit}`}`,
      told.code === null ? 'it took too long' : `${told.stderr}\n${told.stdout}`,
    )
  }
  const { os, words, notes } = fitting(config, name, shape)
  const disk = builder === undefined ? [] : await growing(around, name, shape.diskMiB)
  // Clones of one image have one hardware address, and would get one network address.
  await tart.must(['set', name, '--random-mac', ...words, ...disk])
  return { os, notes: [...notes] }
}
