import { mkdirSync, openSync, closeSync, ftruncateSync } from 'node:fs'
import { must } from '../commands.ts'
import type { Image } from './images.ts'
import type { MachineFiles } from './record.ts'

/** What a machine's root disk is a copy-on-write clone of. `sizeMiB` makes it larger than that; it is never made smaller. */
export interface RootDisk extends Pick<Image, 'disk' | 'format'> {
  readonly sizeMiB?: number
}

/** Makes a machine's two disks: a copy-on-write clone of the image's, and an empty one of exactly the size that the job may fill. */
export async function makeDisks(files: MachineFiles, root: RootDisk, diskMiB: number): Promise<void> {
  mkdirSync(files.directory, { recursive: true, mode: 0o700 })
  await cloneDisk(files.root, root)
  const data = openSync(files.data, 'w', 0o600)
  ftruncateSync(data, diskMiB * 1024 ** 2)
  closeSync(data)
  // No room is kept for root, and no journal for a disk that nobody repairs.
  await must(['mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-O', '^has_journal', files.data])
}

/** Makes a disk that holds only what is written to it; all else is read from the one below. */
export async function cloneDisk(path: string, { disk, format, sizeMiB }: RootDisk): Promise<void> {
  const wanted = sizeMiB === undefined ? 0 : sizeMiB * 1024 ** 2
  const size = sizeMiB !== undefined && wanted > (await diskBytes(disk)) ? [String(wanted)] : []
  await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', disk, '-F', format, path, ...size])
}

/** Bytes of a disk as a guest sees it. */
async function diskBytes(path: string): Promise<number> {
  // Somebody may write to it: nothing is changed by the look.
  const text = await must(['qemu-img', 'info', '--force-share', '--output', 'json', path])
  return (JSON.parse(text) as { readonly 'virtual-size': number })['virtual-size']
}
