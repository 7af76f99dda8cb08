import { createHash } from 'node:crypto'
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { decodeAppleLz4, Lz4Error } from '../../../src/drivers/engines/tart/oci/lz4.ts'
import { RuntimeFailure } from './failures.ts'
import { copyFiles, VmDirectory, type RemoteName } from './home.ts'
import { NetworkFailure, RemoteRegistry } from './remote-registry.ts'

/** Where images come from. */
export interface ImageSource {
  manifest(): Promise<Buffer>
  /** Brings config.json, disk.img and nvram.bin; a directory that is not empty is what a pull before this one left. */
  fill(directory: string, manifest: Buffer): Promise<void>
}

export interface PullSettings {
  readonly insecure: boolean
  readonly concurrency: number
}

/** The folder that stands for all registries where there is one, else the registry that the name says. */
export function sourceOf(name: RemoteName, settings: PullSettings): ImageSource {
  const folder = process.env['TART_FAKE_REGISTRY']
  return folder === undefined
    ? new RegistrySource(name, settings)
    : new FolderSource(`${folder}/${name.host}/${name.namespace}`, name.reference)
}

/** `<host>/<namespace>/<tag>/{config.json,disk.img,nvram.bin,manifest.json}`. */
class FolderSource implements ImageSource {
  readonly #path: string

  constructor(directory: string, reference: string) {
    this.#path = `${directory}/${reference}`
    if (existsSync(`${this.#path}/manifest.json`)) return
    throw new RuntimeFailure(`failed to pull from the registry: unexpected HTTP status code 404 (manifest ${reference})`)
  }

  async manifest(): Promise<Buffer> {
    return readFileSync(`${this.#path}/manifest.json`)
  }

  async fill(directory: string): Promise<void> {
    const vm = new VmDirectory('', this.#path)
    console.log(`pulling disk (${(vm.sizes().allocated / 1000 ** 3).toFixed(1)} GB compressed)...`)
    copyFiles(vm, directory)
    console.log('100%')
    console.log('pulling NVRAM...')
  }
}

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

const tart = 'application/vnd.cirruslabs.tart'
const [sizeName, digestName] = ['org.cirruslabs.tart.uncompressed-size', 'org.cirruslabs.tart.uncompressed-content-digest']
const mostTries = 5
/** Zeros of this size are not written. */
const holeBytes = 4 * 1024 ** 2
const zeros = Buffer.alloc(holeBytes)

/** A registry over HTTP. As in Tart, no byte that comes is compared with any digest, unless it was there before. */
class RegistrySource implements ImageSource {
  readonly #name: RemoteName
  readonly #settings: PullSettings
  readonly #registry: RemoteRegistry

  constructor(name: RemoteName, settings: PullSettings) {
    this.#name = name
    this.#settings = settings
    this.#registry = new RemoteRegistry(name.host, name.namespace, settings.insecure)
  }

  manifest(): Promise<Buffer> {
    return this.#registry.manifest(this.#name.reference)
  }

  async fill(directory: string, manifest: Buffer): Promise<void> {
    const { layers } = JSON.parse(manifest.toString('utf8')) as { layers: readonly Layer[] }
    const one = (type: string): Layer => {
      const [layer, ...more] = layers.filter(({ mediaType }) => mediaType === `${tart}.${type}.v1`)
      if (layer !== undefined && more.length === 0) return layer
      throw new RuntimeFailure(`OCI storage error: manifest should have exactly one ${type} layer`)
    }
    const [config, nvram] = [one('config'), one('nvram')]
    if (layers.some(({ mediaType }) => mediaType === `${tart}.disk.v1`)) {
      throw new RuntimeFailure('Pulling OCI images with legacy disk media type disk.v1 is no longer supported')
    }
    writeFileSync(`${directory}/config.json`, await this.#registry.wholeBlob(config.digest))
    const disk = layers.filter(({ mediaType }) => mediaType === `${tart}.disk.v2`)
    const packed = disk.reduce((sum, { size }) => sum + size, 0)
    console.log(`pulling disk (${(packed / 1000 ** 3).toFixed(1)} GB compressed)...`)
    await this.#pullDisk(`${directory}/disk.img`, disk)
    console.log('pulling NVRAM...')
    writeFileSync(`${directory}/nvram.bin`, await this.#registry.wholeBlob(nvram.digest))
  }

  async #pullDisk(path: string, layers: readonly Layer[]): Promise<void> {
    const resumes = existsSync(path)
    const file = openSync(path, resumes ? 'r+' : 'w+')
    try {
      const sizes = layers.map(({ annotations }) => Number(annotations?.[sizeName] ?? Number.NaN))
      if (sizes.some((size) => Number.isNaN(size))) throw new RuntimeFailure('OCI storage error: disk layer has no uncompressed size')
      const starts = sizes.map((_, at) => sizes.slice(0, at).reduce((sum, size) => sum + size, 0))
      ftruncateSync(
        file,
        sizes.reduce((sum, size) => sum + size, 0),
      )
      const progress = progressOf(layers)
      const waiting = [...layers.entries()]
      const pull = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const [number, layer] = next
          const place = { file, from: starts[number] ?? 0, length: sizes[number] ?? 0 }
          if (!(resumes && isThere(place, layer))) await this.#pullLayer(place, layer, number)
          progress(layer.size)
        }
      }
      await Promise.all(Array.from({ length: Math.max(1, this.#settings.concurrency) }, pull))
    } finally {
      closeSync(file)
    }
  }

  async #pullLayer({ file, from, length }: Place, layer: Layer, number: number): Promise<void> {
    const packed: Uint8Array[] = []
    let got = 0
    for (let tries = 1; ; tries += 1) {
      try {
        for await (const piece of this.#registry.blob(layer.digest, got)) {
          packed.push(piece)
          got += piece.length
        }
        break
      } catch (error) {
        if (!(error instanceof NetworkFailure) || tries >= mostTries) throw error
        console.log(`Error pulling disk layer ${number + 1}: "${error.message}", attempting to re-try...`)
      }
    }
    writeSparse(file, unpacked(Buffer.concat(packed), length), from)
  }
}

interface Place {
  readonly file: number
  readonly from: number
  readonly length: number
}

function unpacked(packed: Uint8Array, length: number): Uint8Array {
  try {
    // Nothing checks that it is as long as the annotation says.
    return decodeAppleLz4(packed, Math.max(length * 2, 1024 ** 2))
  } catch (error) {
    if (!(error instanceof Lz4Error)) throw error
    throw new RuntimeFailure(`OCI storage error: failed to decompress disk layer: ${error.message}`)
  }
}

function writeSparse(file: number, bytes: Uint8Array, from: number): void {
  for (let at = 0; at < bytes.length; at += holeBytes) {
    const piece = bytes.subarray(at, at + holeBytes)
    if (!zeros.subarray(0, piece.length).equals(piece)) writeSync(file, piece, 0, piece.length, from + at)
  }
}

/** Only what an earlier pull left is compared with its digest. */
function isThere({ file, from, length }: Place, { annotations }: Layer): boolean {
  const bytes = Buffer.alloc(length)
  if (readSync(file, bytes, 0, length, from) < length) return false
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === annotations?.[digestName]
}

/** Prints each per cent that is reached, as without a terminal. */
function progressOf(layers: readonly Layer[]): (bytes: number) => void {
  const all = layers.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  let told = -1
  return (bytes) => {
    done += bytes
    const now = Math.floor((done / Math.max(1, all)) * 100)
    if (now === told) return
    told = now
    console.log(`${now}%`)
  }
}
