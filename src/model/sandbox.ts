import type { HostId, SandboxId } from './id.ts'
import type { Instant } from './instant.ts'
import type { EngineName } from './job.ts'

export const sandboxStates = ['requested', 'creating', 'stopped', 'running', 'failed', 'removing', 'gone'] as const
export type SandboxState = (typeof sandboxStates)[number]

/** A sandbox that a person made, with a lease: it is removed at `expiresAt` whatever happens, earlier when idle. */
export interface Sandbox {
  readonly id: SandboxId
  readonly name: string
  readonly hostId: HostId
  readonly engine: EngineName
  readonly image: string | null
  readonly state: SandboxState
  readonly reason: string
  readonly isolation: 'account' | 'directory' | 'vm' | null
  readonly createdBy: string
  readonly createdAt: Instant
  readonly expiresAt: Instant
  readonly hardExpiresAt: Instant
  readonly idleMs: number | null
  readonly lastUsedAt: Instant
  readonly warnedAt: Instant | null
  readonly generation: number
  /** Shells and commands that people opened and the host has not connected to yet. */
  readonly wantedStreams?: readonly WantedStream[]
}

export interface WantedStream {
  readonly id: string
  readonly command: readonly string[]
  readonly tty: boolean
  /** The person does not wait longer for the host. */
  readonly until: Instant
}

export const sandboxCan = {
  start: ['stopped'],
  stop: ['running'],
  snapshot: ['stopped'],
  reset: ['stopped', 'running', 'failed'],
  exec: ['running'],
  remove: ['requested', 'creating', 'stopped', 'running', 'failed'],
} as const satisfies Record<string, readonly SandboxState[]>
