/** What is sent to a registry to say who asks. `source` tells people where it came from: `the variables GITHUB_USERNAME and GITHUB_TOKEN`. */
export interface RegistryCredential {
  readonly username: string
  readonly password: string
  readonly source: string
}

/** Without credentials, `looked` has one sentence for each place and what was there: enough to say why a push is left out. */
export type FoundCredential =
  | { readonly found: true; readonly credential: RegistryCredential }
  | { readonly found: false; readonly looked: readonly string[] }

/** Where the credentials of registries are. */
export interface RegistryCredentials {
  /**
   * Looks at its places in their order, each time anew: what is there may be renewed under way. INVALID_INPUT when the first that has something has what
   * no registry can want (another kind of token, a file that others can read), never with the value.
   */
  find(registry: string, signal: AbortSignal): Promise<FoundCredential>
}
