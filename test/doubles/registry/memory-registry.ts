import { createHash } from 'node:crypto'
import { CideryError } from '../../../src/model/errors.ts'
import type { BlobSource, ByteRange, Manifest, Registry, Repository, ResolvedManifest } from '../../../src/ports/registry.ts'

interface Content {
  readonly blobs: Map<string, Uint8Array>
  readonly manifests: Map<string, { readonly mediaType: string; readonly bytes: Uint8Array }>
  readonly tags: Map<string, string>
}

/** What a nasty registry does; it sees every call and may throw, or give other bytes. */
export interface Nasty {
  /** Before anything: throw to fail the call. */
  call?: (name: keyof Registry, where: Repository, what: string) => void
  /** What is given instead of these bytes of a blob; they begin at `at`. */
  bytes?: (digest: string, at: number, bytes: Uint8Array) => Uint8Array
  manifest?: (bytes: Uint8Array) => Uint8Array
}

const pieceBytes = 64 * 1024

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Registries in memory, as strict as real ones: a manifest is refused whose blobs are not there. Bytes that move are counted. */
export class MemoryRegistry implements Registry {
  readonly content = new Map<string, Content>()
  nasty: Nasty = {}
  sentBytes = 0
  readBytes = 0
  /** Ranges that were asked for, as `digest from-to`. */
  readonly reads: string[] = []

  contentOf({ registry, repository }: Repository): Content {
    const key = `${registry}/${repository}`
    const found = this.content.get(key) ?? { blobs: new Map(), manifests: new Map(), tags: new Map() }
    this.content.set(key, found)
    return found
  }

  #call(name: keyof Registry, where: Repository, { what, signal }: { what: string; signal: AbortSignal }): void {
    signal.throwIfAborted()
    this.nasty.call?.(name, where, what)
  }

  async resolve(where: Repository, name: string, signal: AbortSignal): Promise<ResolvedManifest | null> {
    this.#call('resolve', where, { what: name, signal })
    const { manifests, tags } = this.contentOf(where)
    const digest = name.startsWith('sha256:') ? name : (tags.get(name) ?? '')
    const found = manifests.get(digest)
    return found === undefined ? null : { digest, mediaType: found.mediaType, sizeBytes: found.bytes.length }
  }

  async readManifest(where: Repository, name: string, signal: AbortSignal): Promise<Manifest> {
    this.#call('readManifest', where, { what: name, signal })
    const resolved = await this.resolve(where, name, signal)
    if (resolved === null) throw new CideryError('NOT_FOUND', `no manifest ${name}`)
    const stored = this.contentOf(where).manifests.get(resolved.digest)!.bytes
    return { ...resolved, bytes: this.nasty.manifest?.(stored) ?? stored }
  }

  async *readBlob(
    where: Repository,
    digest: string,
    { range, signal }: { readonly range?: ByteRange; readonly signal: AbortSignal },
  ): AsyncIterable<Uint8Array> {
    this.#call('readBlob', where, { what: digest, signal })
    const blob = this.contentOf(where).blobs.get(digest)
    if (blob === undefined) throw new CideryError('NOT_FOUND', `no blob ${digest}`)
    const { from, to } = range ?? { from: 0, to: blob.length }
    this.reads.push(`${digest} ${from}-${to}`)
    for (let at = from; at < Math.min(to, blob.length); at += pieceBytes) {
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
      const piece = blob.slice(at, Math.min(at + pieceBytes, to))
      const given = this.nasty.bytes?.(digest, at, piece) ?? piece
      this.readBytes += given.length
      yield given
    }
  }

  async hasBlob(where: Repository, digest: string, signal: AbortSignal): Promise<boolean> {
    this.#call('hasBlob', where, { what: digest, signal })
    return this.contentOf(where).blobs.has(digest)
  }

  async writeBlob(
    where: Repository,
    source: BlobSource,
    { mountFrom, signal }: { readonly mountFrom?: string; readonly signal: AbortSignal },
  ): Promise<number> {
    this.#call('writeBlob', where, { what: source.digest, signal })
    const { blobs } = this.contentOf(where)
    if (blobs.has(source.digest)) return 0
    const other = mountFrom === undefined ? undefined : this.contentOf({ ...where, repository: mountFrom }).blobs.get(source.digest)
    if (other !== undefined) {
      blobs.set(source.digest, other)
      return 0
    }
    const parts: Uint8Array[] = []
    for await (const part of source.read(0)) {
      signal.throwIfAborted()
      this.#call('writeBlob', where, { what: source.digest, signal })
      this.sentBytes += part.length
      parts.push(Uint8Array.from(part))
    }
    const bytes = Buffer.concat(parts)
    if (digestOf(bytes) !== source.digest || bytes.length !== source.sizeBytes) throw new CideryError('DIGEST_MISMATCH', source.digest)
    blobs.set(source.digest, bytes)
    return bytes.length
  }

  async writeManifest(
    where: Repository,
    { name, mediaType, bytes }: { readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array },
    signal: AbortSignal,
  ): Promise<ResolvedManifest> {
    this.#call('writeManifest', where, { what: name, signal })
    const { blobs, manifests, tags } = this.contentOf(where)
    const { config, layers } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
      config: { digest: string }
      layers: { digest: string; size: number }[]
    }
    for (const { digest } of [config, ...layers]) if (!blobs.has(digest)) throw new CideryError('INVALID_INPUT', `no blob ${digest}`)
    const digest = digestOf(bytes)
    if (name.startsWith('sha256:') && name !== digest) throw new CideryError('DIGEST_MISMATCH', name)
    manifests.set(digest, { mediaType, bytes: Uint8Array.from(bytes) })
    if (!name.startsWith('sha256:')) tags.set(name, digest)
    return { digest, mediaType, sizeBytes: bytes.length }
  }

  async listTags(where: Repository, signal: AbortSignal): Promise<readonly string[]> {
    this.#call('listTags', where, { what: '', signal })
    return [...this.contentOf(where).tags.keys()]
  }

  async deleteManifest(where: Repository, digest: string, signal: AbortSignal): Promise<void> {
    this.#call('deleteManifest', where, { what: digest, signal })
    this.contentOf(where).manifests.delete(digest)
  }
}
