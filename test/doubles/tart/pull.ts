import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { Parsed } from './command-line.ts'
import { RuntimeFailure } from './failures.ts'
import { holdingFlock } from './flock.ts'
import { cachedImage, copyFiles, places, remoteName, VmDirectory } from './home.ts'

/** Folder that stands for all registries: `<host>/<namespace>/<tag>/{config.json,disk.img,nvram.bin,manifest.json}`. */
const registry = (): string => process.env['TART_FAKE_REGISTRY'] ?? '/nonexistent'

/** Brings an image into the cache, under its digest with the tag as a link to it. */
export async function pullImage(name: string): Promise<VmDirectory> {
  const { host, namespace, reference, path } = remoteName(name)
  const source = findImage(`${registry()}/${host}/${namespace}`, reference)
  console.log(`pulling ${name}...`)
  const base = `${places.images}/${host.replaceAll(':', '%3A')}`
  mkdirSync(`${base}/${namespace}`, { recursive: true })
  return holdingFlock(
    base,
    () => {
      console.log('pulling manifest...')
      const manifest = readFileSync(`${source}/manifest.json`)
      const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
      const target = `${base}/${namespace}/${digest}`
      if (existsSync(target)) {
        console.log(`${host}/${namespace}@${digest} image is already cached! creating a symlink...`)
      } else {
        const temporary = `${places.tmp}/${createHash('md5').update(name).digest('hex')}`
        rmSync(temporary, { recursive: true, force: true })
        mkdirSync(temporary)
        const { allocated } = new VmDirectory(name, source).sizes()
        console.log(`pulling disk (${(allocated / 1000 ** 3).toFixed(1)} GB compressed)...`)
        copyFiles(new VmDirectory(name, source), temporary)
        console.log('100%')
        console.log('pulling NVRAM...')
        writeFileSync(`${temporary}/manifest.json`, manifest)
        renameSync(temporary, target)
      }
      if (reference.startsWith('sha256:')) writeFileSync(`${target}/.explicitly-pulled`, '')
      else link(target, `${places.images}/${path}`)
      return cachedImage(name) ?? new VmDirectory(name, target)
    },
    () => console.log('waiting for lock...'),
  )
}

function link(target: string, path: string): void {
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

function findImage(directory: string, reference: string): string {
  const path = `${directory}/${reference}`
  if (existsSync(`${path}/manifest.json`)) return path
  throw new RuntimeFailure(`failed to pull from the registry: unexpected HTTP status code 404 (manifest ${reference})`)
}

export async function pull(parsed: Parsed): Promise<void> {
  const [name = ''] = parsed.words
  if (existsSync(`${places.vms}/${name}/config.json`)) {
    console.log(`"${name}" is a local image, nothing to pull here!`)
    return
  }
  await pullImage(name)
}
