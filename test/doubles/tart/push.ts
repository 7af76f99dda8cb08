import { createHash } from 'node:crypto'
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { encodeAppleLz4 } from '../../../src/drivers/engines/tart/oci/lz4.ts'
import type { Parsed } from './command-line.ts'
import { isRunning } from './failures.ts'
import { cachedImage, copyFiles, openLocal, places, remoteName, type RemoteName, type VmDirectory } from './home.ts'
import { ociManifest, RemoteRegistry } from './remote-registry.ts'

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

const tart = 'application/vnd.cirruslabs.tart'
const names = 'org.cirruslabs.tart'

/** Bytes of a piece of the disk: 512 MiB, or less, so that tests are quick. */
const rangeBytes = (): number => Number(process.env['TART_FAKE_RANGE_KIB'] ?? 512 * 1024) * 1024

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A local machine becomes an image; an image of the cache gets one more name, by its manifest alone. */
export async function push(parsed: Parsed): Promise<void> {
  const [name = '', ...remotes] = parsed.words
  const targets = remotes.map((remote) => remoteName(remote))
  const cached = name.includes('/') ? cachedImage(name) : null
  const vm = cached ?? openLocal(name)
  if (cached === null && vm.runner() !== null) throw isRunning(name)
  for (const target of targets) {
    const { host, namespace, reference } = target
    const registry = new RemoteRegistry(host, namespace, parsed.has('insecure'))
    console.log(`pushing ${name} to ${host}/${namespace}:${reference}...`)
    const manifest = cached === null ? await pushMachine(vm, registry, parsed) : readFileSync(`${cached.path}/manifest.json`)
    console.log(`pushing manifest for ${reference}...`)
    await registry.pushManifest(reference, manifest)
    if (parsed.has('populate-cache') && cached === null) populate(vm, target, manifest)
  }
}

async function pushMachine(vm: VmDirectory, registry: RemoteRegistry, parsed: Parsed): Promise<Uint8Array> {
  const pieceBytes = (parsed.number('chunk-size') ?? 0) * 1000 ** 2
  const labels = Object.fromEntries(parsed.values('label').map((label) => label.split(/=(.*)/s).slice(0, 2) as [string, string]))
  const blob = async (type: string, bytes: Uint8Array): Promise<Descriptor> => {
    return { mediaType: type, digest: await registry.pushBlob(bytes, pieceBytes), size: bytes.length }
  }
  console.log('pushing config...')
  const config = vm.readConfig()
  const layers: Descriptor[] = [await blob(`${tart}.config.v1`, unsorted(config))]
  console.log('pushing disk... this will take a while...')
  const file = openSync(vm.diskPath, 'r')
  const { size } = fstatSync(file)
  try {
    for (let at = 0; at < size; at += rangeBytes()) {
      const raw = Buffer.alloc(Math.min(rangeBytes(), size - at))
      readSync(file, raw, 0, raw.length, at)
      const annotations = { [`${names}.uncompressed-content-digest`]: digestOf(raw), [`${names}.uncompressed-size`]: String(raw.length) }
      layers.push({ ...(await blob(`${tart}.disk.v2`, encodeAppleLz4(raw))), annotations })
    }
  } finally {
    closeSync(file)
  }
  console.log('pushing NVRAM...')
  layers.push(await blob(`${tart}.nvram.v1`, readFileSync(`${vm.path}/nvram.bin`)))
  const ociConfig = {
    architecture: config.arch,
    config: { Labels: { ...labels, [`${names}.disk.format`]: config.diskFormat } },
    os: config.os,
  }
  return Buffer.from(
    JSON.stringify({
      annotations: { [`${names}.upload-time`]: new Date().toISOString(), [`${names}.uncompressed-disk-size`]: String(size) },
      config: await blob('application/vnd.oci.image.config.v1+json', Buffer.from(JSON.stringify(ociConfig))),
      layers,
      mediaType: ociManifest,
      schemaVersion: 2,
    }),
  )
}

/** Two pushes of one machine may give two digests: the encoder does not keep the order of keys. */
function unsorted(config: object): Uint8Array {
  const entries = Object.entries(config).map((entry) => ({ entry, order: Math.random() }))
  return Buffer.from(
    JSON.stringify(Object.fromEntries(entries.sort((a, b) => a.order - b.order).map(({ entry }) => entry as [string, unknown]))),
  )
}

function populate(vm: VmDirectory, { host, namespace, reference }: RemoteName, manifest: Uint8Array): void {
  const base = `${places.images}/${host.replaceAll(':', '%3A')}/${namespace}`
  const target = `${base}/${digestOf(manifest)}`
  if (existsSync(target)) return
  mkdirSync(target, { recursive: true })
  copyFiles(vm, target)
  writeFileSync(`${target}/manifest.json`, manifest)
  rmSync(`${base}/${reference}`, { force: true })
  symlinkSync(target, `${base}/${reference}`)
}
