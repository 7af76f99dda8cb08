import type { Log } from '../../ports/log.ts'
import type { Processes } from '../../ports/processes.ts'
import type { RegistryCredential } from '../../ports/registry-credentials.ts'

/** What the places look at. */
export interface PlaceParts {
  /** `process.platform`. */
  readonly platform: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  readonly processes: Processes
  readonly log: Log
  /** The user that this process runs as; files of others, root apart, are not believed. */
  readonly uid: number
  /** The macOS program; another one only in tests. */
  readonly securityProgram?: string
  /** Default `~/.config/cidery/registry-credentials.json`. */
  readonly credentialsFile?: string
  /** Where `github-token.txt` and `github-username.txt` are; `/tmp` but for tests. */
  readonly oldFolder?: string
}

/** What one place has for a registry, or a sentence that says what it looked at and found instead. */
export type PlaceAnswer = { readonly credential: RegistryCredential } | { readonly looked: string }

/** One kind of place where credentials may be. */
export interface CredentialPlace {
  /** Throws INVALID_INPUT for what is there and cannot be used. */
  find(registry: string, signal: AbortSignal): Promise<PlaceAnswer>
}

export type MakePlace = (parts: PlaceParts) => CredentialPlace

/** How people write a registry: with scheme, path or capitals. Docker's own has two more names. */
export function registryName(text: string): string {
  const host = text
    .replace(/^https?:\/\//i, '')
    .replace(/\/.*$/, '')
    .toLowerCase()
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host
}
