import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract } from 'tar-stream'
import { CideryError } from '../../model/errors.ts'

/** An archive that `npm run dist` made, as far as one has to know to hand it on. */
export interface ReleaseArchive {
  readonly path: string
  readonly sizeBytes: number
  /** SHA-256 of the archive. */
  readonly digest: string
  readonly version: string
  readonly commit: string | null
  /** `linux-x64`, `darwin-arm64`, …. */
  readonly platform: string
  /** SHA-256 of its manifest: the name of the release. */
  readonly release: string
}

const manifestLimit = 16 * 1024 ** 2

/** Looks into an archive. Throws INVALID_INPUT when it is none; whether each file is right is for the host to check. */
export async function readReleaseArchive(path: string): Promise<ReleaseArchive> {
  const facts = await stat(path).catch(() => undefined)
  if (facts?.isFile() !== true) throw new CideryError('INVALID_INPUT', `--from ${path} is no file`, { hint: 'npm run dist makes archives' })
  const manifest = await readManifest(path)
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer)
  return { path, sizeBytes: facts.size, digest: hash.digest('hex'), ...described(path, manifest) }
}

function notOne(path: string, cause?: unknown): CideryError {
  return new CideryError('INVALID_INPUT', `--from ${path} is not an archive of cidery`, {
    hint: 'npm run dist makes archives: cidery-<version>-<platform>.tar.gz',
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Bytes of the first file, which is the manifest; the rest is not unpacked. */
async function readManifest(path: string): Promise<Buffer> {
  const entries = extract()
  const feeding = pipeline(createReadStream(path), createGunzip(), entries)
  feeding.catch(() => {
    // It ends early once the first file is read; a fault before that ends the loop below.
  })
  try {
    for await (const entry of entries) {
      const { name, size } = entry.header
      if (!name.endsWith('/manifest.json') || size > manifestLimit) throw notOne(path)
      const pieces: Uint8Array[] = []
      for await (const piece of entry as AsyncIterable<Uint8Array>) pieces.push(piece)
      return Buffer.concat(pieces)
    }
  } catch (error) {
    throw error instanceof CideryError ? error : notOne(path, error)
  } finally {
    entries.destroy()
  }
  throw notOne(path)
}

function described(path: string, manifest: Buffer): Pick<ReleaseArchive, 'version' | 'commit' | 'platform' | 'release'> {
  let value: unknown
  try {
    value = JSON.parse(manifest.toString('utf8'))
  } catch (cause) {
    throw notOne(path, cause)
  }
  const { version, commit, platform } = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  if (typeof version !== 'string' || typeof platform !== 'string') throw notOne(path)
  return {
    version,
    platform,
    commit: typeof commit === 'string' ? commit : null,
    release: createHash('sha256').update(manifest).digest('hex'),
  }
}
