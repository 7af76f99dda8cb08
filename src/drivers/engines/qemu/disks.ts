import { mkdirSync, openSync, closeSync, ftruncateSync } from 'node:fs'
import { must } from '../commands.ts'
import type { Image } from './images.ts'
import type { MachineFiles } from './record.ts'

/** Makes a machine's two disks: a copy-on-write clone of the image's, and an empty one of exactly the size that the job may fill. */
export async function makeDisks(files: MachineFiles, image: Image, diskMiB: number): Promise<void> {
  mkdirSync(files.directory, { recursive: true, mode: 0o700 })
  await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', image.disk, '-F', 'qcow2', files.root])
  const data = openSync(files.data, 'w', 0o600)
  ftruncateSync(data, diskMiB * 1024 ** 2)
  closeSync(data)
  // No room is kept for root, and no journal for a disk that nobody repairs.
  await must(['mke2fs', '-q', '-F', '-t', 'ext4', '-m', '0', '-O', '^has_journal', files.data])
}
