/** What goes into an image besides the text of its recipe, on this host and proved. */
export interface Ingredients {
  /** The file or folder beside the recipe that has this path. */
  file(path: string): Promise<RecipeFile>
  /** Bytes of a download, by its URL; their SHA-256 is the lock's. */
  download(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** Version of a package by the lock, `apt/gcc`; null: the newest there is. */
  packageVersion(key: string): string | null
}

export type RecipeFile =
  | { readonly kind: 'file'; open(): AsyncIterable<Uint8Array> }
  /** A tar archive of what is in it, in order of name; owners and times are nobody's. */
  | { readonly kind: 'folder'; pack(): AsyncIterable<Uint8Array> }

/** What a recipe's lock says, as far as a host has to know it. */
export interface LockedIngredients {
  /** SHA-256 of the bytes of downloads, by URL. */
  readonly downloads: Readonly<Record<string, string>>
  /** Versions by `apt/gcc`. */
  readonly packages: Readonly<Record<string, string>>
}

/** Ingredients that are unpacked on this host, until they are closed. */
export interface OpenIngredients extends Ingredients {
  /** Removes what was unpacked. */
  close(): Promise<void>
}

/** Where ingredients come from. */
export interface IngredientStore {
  /** Those of an archive (tar) of the files that a recipe names; null: it names none. INVALID_INPUT for an archive with paths that lead out of it. */
  unpack(archive: AsyncIterable<Uint8Array> | null, lock: LockedIngredients): Promise<OpenIngredients>
  /** Removes what processes that are gone left unpacked, and downloads that nobody asked for in a while. */
  sweep(): Promise<void>
}
