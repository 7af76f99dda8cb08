import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, link, mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface StoredManifest {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
}

export interface StoredUpload {
  readonly id: string
  readonly repository: string
  readonly file: string
  size: number
  /** What the registry believes to have; other than `size` when it lost bytes without a word. */
  told: number
}

/** What a registry keeps: blobs and manifests by repository, uploads that are not whole yet. Blobs are files. */
export interface Storage {
  has(repository: string, digest: string): boolean
  sizeOf(digest: string): number
  /** A part of a blob. */
  read(digest: string, from: number, to: number): AsyncIterable<Buffer>
  share(repository: string, digest: string): void
  forget(repository: string, digest: string): boolean
  begin(repository: string): Promise<StoredUpload>
  upload(repository: string, id: string): StoredUpload | undefined
  append(upload: StoredUpload, bytes: Buffer): Promise<void>
  /** Takes the last bytes away; `told`: and knows it. */
  lose(upload: StoredUpload, bytes: number, told: boolean): Promise<void>
  cancel(upload: StoredUpload): Promise<void>
  /** False when its bytes have another digest; then the upload is gone. */
  seal(upload: StoredUpload, digest: string): Promise<boolean>
  put(repository: string, manifest: StoredManifest, tag: string | null): void
  manifest(repository: string, name: string): StoredManifest | undefined
  remove(repository: string, digest: string): boolean
  /** Undefined for a repository that nobody wrote to. */
  tags(repository: string): readonly string[] | undefined
}

interface Kept {
  readonly blobs: Set<string>
  readonly manifests: Map<string, StoredManifest>
  readonly tags: Map<string, string>
}

export function createStorage(folder: string): Storage {
  const repositories = new Map<string, Kept>()
  const sizes = new Map<string, number>()
  const uploads = new Map<string, StoredUpload>()
  const fileOf = (digest: string): string => join(folder, digest.replace(':', '-'))

  function kept(repository: string): Kept {
    let held = repositories.get(repository)
    if (held === undefined) {
      held = { blobs: new Set(), manifests: new Map(), tags: new Map() }
      repositories.set(repository, held)
    }
    return held
  }

  return {
    has: (repository, digest) => repositories.get(repository)?.blobs.has(digest) ?? false,
    sizeOf: (digest) => sizes.get(digest) ?? 0,
    async *read(digest, from, to) {
      if (from < to) yield* createReadStream(fileOf(digest), { start: from, end: to - 1 }) as AsyncIterable<Buffer>
    },
    share: (repository, digest) => void kept(repository).blobs.add(digest),
    forget: (repository, digest) => kept(repository).blobs.delete(digest),
    async begin(repository) {
      const id = randomUUID()
      const upload = { id, repository, file: join(folder, `upload-${id}`), size: 0, told: 0 }
      await mkdir(folder, { recursive: true })
      await writeFile(upload.file, '')
      uploads.set(id, upload)
      return upload
    },
    upload(repository, id) {
      const found = uploads.get(id)
      return found?.repository === repository ? found : undefined
    },
    async append(upload, bytes) {
      await appendFile(upload.file, bytes)
      upload.size += bytes.length
      upload.told += bytes.length
    },
    async lose(upload, bytes, told) {
      upload.size = Math.max(0, upload.size - bytes)
      if (told) upload.told = upload.size
      await truncate(upload.file, upload.size)
    },
    async cancel(upload) {
      uploads.delete(upload.id)
      await rm(upload.file, { force: true })
    },
    async seal(upload, digest) {
      uploads.delete(upload.id)
      const hash = createHash('sha256')
      for await (const piece of createReadStream(upload.file) as AsyncIterable<Buffer>) hash.update(piece)
      const right = `sha256:${hash.digest('hex')}` === digest
      if (right) {
        await link(upload.file, fileOf(digest)).catch(async () => {
          // Another upload of the same bytes was faster; they are what their name says.
          await readFile(fileOf(digest))
        })
        sizes.set(digest, (await stat(upload.file)).size)
        kept(upload.repository).blobs.add(digest)
      }
      await rm(upload.file, { force: true })
      return right
    },
    put(repository, manifest, tag) {
      const { manifests, tags } = kept(repository)
      manifests.set(manifest.digest, manifest)
      if (tag !== null) tags.set(tag, manifest.digest)
    },
    manifest(repository, name) {
      const held = repositories.get(repository)
      return held?.manifests.get(held.tags.get(name) ?? name)
    },
    remove(repository, digest) {
      const { manifests, tags } = kept(repository)
      for (const [tag, target] of tags) if (target === digest) tags.delete(tag)
      return manifests.delete(digest)
    },
    tags: (repository) => {
      const held = repositories.get(repository)
      return held === undefined ? undefined : [...held.tags.keys()].sort()
    },
  }
}
