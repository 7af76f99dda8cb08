import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CideryError } from '../../../../model/errors.ts'
import { must } from '../../commands.ts'

/** Modules that a guest needs before it has its disk, and for its network; what they depend on is looked up. */
const modules = ['virtio_mmio', 'virtio_blk', 'virtio_net', 'virtio-rng', 'virtio_console'] as const

/** The modules and all they depend on, in the order in which they load. */
function moduleFiles(root: string): readonly string[] {
  const [dep = ''] = globSync('lib/modules/*/modules.dep', { cwd: root })
  const folder = join(root, dep, '..')
  const lines = readFileSync(join(root, dep), 'utf8').split('\n')
  const files = modules.flatMap((module) => {
    const line = lines.find((text) => text.split(':')[0]?.endsWith(`/${module}.ko`) === true)
    if (line === undefined) throw new CideryError('ENGINE_FAILED', `the kernel of the base has no module ${module}`)
    const [file = '', needs = ''] = line.split(':')
    // The file names what must be there last first.
    return [...needs.split(' ').filter(Boolean).reverse(), file]
  })
  return [...new Set(files)].map((file) => join(folder, file))
}

/** The archive (cpio, newc) of a guest's first file system, made of what is installed below `root`; `work` is a folder for what is needed meanwhile. */
export async function makeInitramfs(root: string, work: string): Promise<Uint8Array> {
  const tree = join(work, 'tree')
  const archive = join(work, 'initramfs.cpio')
  for (const folder of ['bin', 'dev', 'lib/modules', 'root']) mkdirSync(join(tree, folder), { recursive: true })
  copyFileSync(join(root, 'bin/busybox'), join(tree, 'bin/busybox'))
  copyFileSync(join(import.meta.dirname, 'initramfs-init'), join(tree, 'init'))
  chmodSync(join(tree, 'init'), 0o755)
  for (const [index, file] of moduleFiles(root).entries()) {
    copyFileSync(file, join(tree, 'lib/modules', `${String(index).padStart(2, '0')}-${basename(file)}`))
  }
  const names = globSync('**', { cwd: tree })
    .filter((name) => name !== '')
    .toSorted()
  await must(['cpio', '-o', '-H', 'newc', '-R', '0:0', '--quiet', '-D', tree, '-F', archive], {
    input: `${names.join('\n')}\n`,
    timeoutMs: 60_000,
  })
  const bytes = readFileSync(archive)
  for (const path of [tree, archive]) rmSync(path, { recursive: true, force: true })
  return bytes
}
