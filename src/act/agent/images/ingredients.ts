/** What goes into an image besides the text of its recipe, on this host and proved. */
export interface Ingredients {
  /** The file or folder beside the recipe that has this path. */
  file(path: string): RecipeFile
  /** Bytes of a download, by its URL; their SHA-256 is the lock's. */
  download(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
  /** Version of a package by the lock, `apt/gcc`; null: the newest there is. */
  packageVersion(key: string): string | null
}

export type RecipeFile =
  | { readonly kind: 'file'; open(): AsyncIterable<Uint8Array> }
  /** A tar archive of what is in it, in order of name; owners and times are nobody's. */
  | { readonly kind: 'folder'; pack(): AsyncIterable<Uint8Array> }
