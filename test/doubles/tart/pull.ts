import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { Parsed } from './command-line.ts'
import { holdingFlock } from './flock.ts'
import { cachedImage, places, remoteName, VmDirectory } from './home.ts'
import { sourceOf, type ImageSource, type PullSettings } from './image-source.ts'

/** Brings an image into the cache, under its digest with the tag as a link to it. */
export async function pullImage(name: string, settings: PullSettings): Promise<VmDirectory> {
  const { host, namespace, reference, path } = remoteName(name)
  const source = sourceOf(remoteName(name), settings)
  console.log(`pulling ${name}...`)
  const base = `${places.images}/${host.replaceAll(':', '%3A')}`
  mkdirSync(`${base}/${namespace}`, { recursive: true })
  // All pulls from one registry wait for each other.
  return holdingFlock(
    base,
    async () => {
      console.log('pulling manifest...')
      const manifest = await source.manifest()
      const digest = `sha256:${createHash('sha256').update(manifest).digest('hex')}`
      const target = `${base}/${namespace}/${digest}`
      if (existsSync(target)) console.log(`${host}/${namespace}@${digest} image is already cached! creating a symlink...`)
      else await bring({ name, source, manifest, target })
      // Who asked for one digest and got the manifest of another gets a link to that: nothing compares the two.
      if (reference === digest) writeFileSync(`${target}/.explicitly-pulled`, '')
      else link(target, `${places.images}/${path}`)
      return cachedImage(name) ?? new VmDirectory(name, target)
    },
    () => console.log('waiting for lock...'),
  )
}

interface Bringing {
  readonly name: string
  readonly source: ImageSource
  readonly manifest: Buffer
  readonly target: string
}

/** What a pull that was killed left is gone on with, unless another command has collected it. */
async function bring({ name, source, manifest, target }: Bringing): Promise<void> {
  const temporary = `${places.tmp}/${createHash('md5').update(name).digest('hex')}`
  mkdirSync(temporary, { recursive: true })
  await holdingFlock(temporary, async () => {
    await source.fill(temporary, manifest)
    writeFileSync(`${temporary}/manifest.json`, manifest)
    renameSync(temporary, target)
  })
}

function link(target: string, path: string): void {
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

export function pullSettings(parsed: Parsed): PullSettings {
  return { insecure: parsed.has('insecure'), concurrency: parsed.number('concurrency') ?? 4 }
}

export async function pull(parsed: Parsed): Promise<void> {
  const [name = ''] = parsed.words
  if (existsSync(`${places.vms}/${name}/config.json`)) {
    console.log(`"${name}" is a local image, nothing to pull here!`)
    return
  }
  await pullImage(name, pullSettings(parsed))
}
