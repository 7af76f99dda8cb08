/** A repository of an OCI registry: `registry` is host, or host:port. */
export interface Repository {
  readonly registry: string
  readonly repository: string
}

/** What a name leads to. `digest` is `sha256:<64 hex>` of the manifest's bytes. */
export interface ResolvedManifest {
  readonly digest: string
  readonly mediaType: string
  readonly sizeBytes: number
}

export interface Manifest extends ResolvedManifest {
  readonly bytes: Uint8Array
}

/** Bytes of a blob that are sent; `read` gives them from an offset, again when a try broke. */
export interface BlobSource {
  readonly digest: string
  readonly sizeBytes: number
  read(offset: number): AsyncIterable<Uint8Array>
}

/** Half-open: `from` is the first byte, `to` the one behind the last. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

/**
 * OCI registries (distribution spec 1.1). A tag is any text that the spec allows, a digest `sha256:…`. All calls retry what may pass (429, 5xx, cut
 * connections) within the budget of their registry. Errors are CideryErrors: NOT_FOUND (what must be there is not), UNAUTHENTICATED, FORBIDDEN,
 * TOO_MANY_REQUESTS, UNAVAILABLE (it may pass), DIGEST_MISMATCH (bytes are not what their name says), INVALID_INPUT.
 */
export interface Registry {
  /** One small request; null: there is no such name. */
  resolve(where: Repository, name: string, signal: AbortSignal): Promise<ResolvedManifest | null>
  /** Its bytes have the digest that is returned; one that was asked for by digest has that one. */
  readManifest(where: Repository, name: string, signal: AbortSignal): Promise<Manifest>
  /**
   * Bytes of a blob or of a part of it. A connection that is cut goes on where it stopped. The whole of a blob is checked against its digest at the end; a
   * part cannot be, its reader has to; when it finds it wrong, `atOrigin` reads it again where no mirror can be between.
   */
  readBlob(
    where: Repository,
    digest: string,
    options: { readonly range?: ByteRange; readonly atOrigin?: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Uint8Array>
  hasBlob(where: Repository, digest: string, signal: AbortSignal): Promise<boolean>
  /** Sends a blob unless it is there; takes it from another repository of the same registry where that has it. Gives what really was sent, in bytes. */
  writeBlob(where: Repository, source: BlobSource, options: { readonly mountFrom?: string; readonly signal: AbortSignal }): Promise<number>
  /** `name` is a tag or the digest of the bytes. */
  writeManifest(
    where: Repository,
    manifest: { readonly name: string; readonly mediaType: string; readonly bytes: Uint8Array },
    signal: AbortSignal,
  ): Promise<ResolvedManifest>
  listTags(where: Repository, signal: AbortSignal): Promise<readonly string[]>
  /** Removes a manifest by its digest; UNSUPPORTED where the registry does not allow it. */
  deleteManifest(where: Repository, digest: string, signal: AbortSignal): Promise<void>
}
