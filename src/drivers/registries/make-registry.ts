import type { Milliseconds } from '../../model/instant.ts'
import type { Random } from '../../ports/random.ts'
import type { RegistryCredentials } from '../../ports/registry-credentials.ts'
import type { Registry } from '../../ports/registry.ts'
import type { Clock, Timers } from '../../ports/time.ts'

/** What a registry client is made of. */
export interface RegistryParts {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  /** Null: everything is asked for without saying who asks. */
  readonly credentials: RegistryCredentials | null
}

export interface RegistryOptions {
  /** Registries, as host or host:port, that are asked over plain HTTP. Loopback always is. */
  readonly insecure?: readonly string[]
  /** PEM file of certificates that are trusted beside those of the system. */
  readonly caFile?: string
  /** Where to ask before a registry for what is named by a digest: `{ 'ghcr.io': ['http://127.0.0.1:5000'] }`. Nothing is sent there. */
  readonly mirrors?: Readonly<Record<string, readonly string[]>>
  /** Blobs are sent in pieces of so many bytes; without it, in one. */
  readonly pieceBytes?: number
  /** A connection that gives and takes no byte for so long is cut. Default 60 s. */
  readonly silenceMs?: Milliseconds
  /** Failures in a row after which it is given up. Default 8: about a minute. */
  readonly tries?: number
  /** How long it may go without getting further. Default 15 min. */
  readonly longestMs?: Milliseconds
}

/** A client of one protocol for any number of registries. One is enough for a process: it is what remembers who asked to wait. */
export interface RegistryClient extends Registry {
  /** Ends its connections, also those that are in use. */
  close(): void
}

export type MakeRegistry = (parts: RegistryParts, options: RegistryOptions) => RegistryClient
