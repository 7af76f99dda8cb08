import type { ImageReference } from '../model/image/reference.ts'
import type { ImageMetadata, StoredImage } from '../model/image/stored.ts'
import type { Engine } from './engine.ts'
import type { Repository } from './registry.ts'

/** How far a transfer is. `total` is null until it is known. */
export interface Transferred {
  /** Bytes of the image that are there. */
  readonly done: number
  readonly total: number | null
  /** Bytes that went over the network. */
  readonly network: number
}

export interface TransferOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (transferred: Transferred) => void
  /** Bytes per second over the network at most; default: as fast as it goes. */
  readonly bandwidth?: number
}

export interface PushTarget extends Repository {
  /** In this order; the first names this build alone. Failure of a later one is told and does not fail the push. */
  readonly tags: readonly string[]
}

export interface PushReport {
  /** Of the manifest: `sha256:…`. */
  readonly digest: string
  readonly sentBytes: number
  /** Bytes that the registry had already. */
  readonly reusedBytes: number
  /** Tags that were not moved, and why. */
  readonly failedTags: readonly { readonly tag: string; readonly reason: string }[]
}

/** The builds that an engine keeps on its host. All calls may be repeated after a crash at any point. */
export interface ImageStore {
  /** Those that are whole. Cheap: nothing is hashed. */
  list(): Promise<readonly StoredImage[]>
  /** What a build of a registry says of itself, by one small request and without bringing it; null when it says nothing. */
  describe(from: ImageReference & { readonly digest: string }, signal: AbortSignal): Promise<ImageMetadata | null>
  /**
   * Brings a build by its digest, under a name; goes on with what an earlier try left. Nothing is listed before every byte was proved. NOT_FOUND,
   * DIGEST_MISMATCH, STORAGE_FULL, and whatever the registry says.
   */
  pull(id: string, from: ImageReference & { readonly digest: string }, options: TransferOptions): Promise<StoredImage>
  /** Sends a build, layers that are there already excepted. */
  push(id: string, to: PushTarget, options: TransferOptions): Promise<PushReport>
  /** Reads every byte of a build again; what is wrong, in words for people. */
  verify(id: string, signal: AbortSignal): Promise<readonly string[]>
  /** Removes a build. CONFLICT when a sandbox is a clone of it, NOT_FOUND when it is not there. */
  remove(id: string): Promise<void>
  /** Room that builds and what is half there take, and that is left; bytes. */
  room(): Promise<{ readonly usedBytes: number; readonly freeBytes: number; readonly totalBytes: number }>
  /** Removes what processes that are gone left half done, but for transfers that `keep` names: those go on. Gives what it removed. */
  sweep(keep: ReadonlySet<string>): Promise<readonly string[]>
}

/** A base that is not an image of a registry. `debian` is the suite; `ipsw` a file on this host that was proved. */
export type BaseSource =
  | { readonly kind: 'debian'; readonly suite: string; readonly packages: readonly string[]; readonly diskMiB: number }
  | { readonly kind: 'ipsw'; readonly file: string; readonly diskMiB: number }

export interface StoredLayer {
  readonly key: string
  readonly sizeBytes: number
  readonly lastUsedAt: number
}

/**
 * Makes builds. The machine of a build is a sandbox that `create` made with `builder`: commands in it may be root's, and its disk is kept. Layers are
 * disks as they were between two layers of a recipe, by the layer's identity.
 */
export interface ImageBuilder {
  /** The stored image of a base; made now when there is none. UNSUPPORTED for a kind that this engine does not know. */
  prepareBase(source: BaseSource, options: { readonly signal: AbortSignal; readonly onLine: (line: string) => void }): Promise<StoredImage>
  /** Ends all that runs in a builder, has its disk written, and switches it off; within the limit, or ENGINE_FAILED: its disk proves nothing then. */
  shutDown(id: string, limitMs: number): Promise<void>
  /** Keeps the disk of a builder that was shut down, as it is now; the builder goes on from it. */
  keepLayer(id: string, key: string): Promise<void>
  layers(): Promise<readonly StoredLayer[]>
  removeLayer(key: string): Promise<void>
  /** Makes a build of a builder that was shut down: its file system proved consistent, whole and by its own. The builder is left as it is. */
  seal(id: string, metadata: ImageMetadata): Promise<StoredImage>
}

/** An engine that builds, brings and sends the images of its sandboxes. */
export interface ImageEngine extends Engine {
  readonly images: ImageStore
  readonly builder: ImageBuilder
}
