import { existsSync, lstatSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import type { RecordStore } from '../records.ts'
import type { Around } from './door.ts'
import { cachedDirectory, machineDirectory, type ImageRecord } from './image-record.ts'
import { deleteMachine } from './removing.ts'

export interface ImageRemoving extends Around {
  readonly images: RecordStore<ImageRecord>
}

/** Deletes what Tart has of an image, unless it is somebody else's too. False when it stays. */
export async function removeBytes(around: ImageRemoving, record: ImageRecord): Promise<boolean> {
  const { kind, name } = record
  if (kind === 'local') {
    await removeMachineFolder(around, name)
    return true
  }
  if (!isOnlyOurs(around, record)) return false
  await deleteMachine(around, name)
  // Tart does not see one that lacks a file, nor a link to an image that is gone.
  rmSync(cachedDirectory(around.config, name), { recursive: true, force: true })
  return true
}

/** Deletes a machine that never runs, whole or not. */
export async function removeMachineFolder(around: Pick<Around, 'config' | 'tart'>, name: string): Promise<void> {
  await deleteMachine(around, name)
  rmSync(machineDirectory(around.config, name), { recursive: true, force: true })
}

/** Whether nobody but this record wants an image of the cache: no other record, no name of agent.yaml, and no tag that a person pulled. */
function isOnlyOurs({ config, images }: ImageRemoving, { id, name, ours }: ImageRecord): boolean {
  if (!ours || [...config.images.values()].includes(name)) return false
  if (images.list().some((other) => other.id !== id && other.name === name)) return false
  const directory = cachedDirectory(config, name)
  const parent = directory.slice(0, directory.lastIndexOf('/'))
  return !(existsSync(parent) ? readdirSync(parent) : []).some((tag) => {
    const path = `${parent}/${tag}`
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true && readlinkSync(path) === directory
  })
}
