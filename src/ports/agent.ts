import type { EnrolRequest, EnrolResponse, SyncRequest, SyncResponse } from '../model/sync.ts'
import type { HostFacts } from '../model/host.ts'

/** The agent's way to its controller. Errors are CideryErrors: UNREACHABLE, UNAUTHENTICATED, FORBIDDEN, AGENT_TOO_OLD, …. */
export interface ControllerLink {
  enrol(request: EnrolRequest): Promise<EnrolResponse>
  sync(request: SyncRequest, signal: AbortSignal): Promise<SyncResponse>
  /** Appends to an attempt's log; returns the length that the controller holds. */
  appendLog(attemptId: string, offset: number, bytes: Uint8Array): Promise<number>
  /** Says that the log ends at this length. */
  finishLog(attemptId: string, length: number): Promise<void>
  /** Uploads bytes unless the controller has them; resumes. `read` gives bytes from an offset. */
  uploadBlob(digest: string, sizeBytes: number, read: (offset: number) => AsyncIterable<Uint8Array>): Promise<void>
  downloadBlob(digest: string, offset: number): Promise<AsyncIterable<Uint8Array>>
  /** The values of the secrets of a job, by name; only for an attempt that this host runs now. */
  fetchSecrets(attemptId: string): Promise<Readonly<Record<string, string>>>
  /** Replaces this host's key by one whose SHA-256 is given; the old one goes when the new one is first used. */
  rotateKey(keyHash: string): Promise<void>
  /** One short GET of the health URL. */
  health(timeoutMs: number): Promise<boolean>
  /** Connects a shell or command that somebody opened; resolves when it is over. */
  attachStream(streamId: string, run: StreamPeer): Promise<void>
}

/** Bytes both ways between a person's terminal and a process inside a sandbox. */
export interface StreamPeer {
  onInput(bytes: Uint8Array): void
  onResize(columns: number, rows: number): void
  onClosed(): void
  start(output: { write(bytes: Uint8Array): void; exit(code: number | null, signal: number | null): void }): void
}

/** What the agent remembers across its own death; each write is durable and atomic. */
export interface AgentJournal {
  identity(): Promise<AgentIdentity | null>
  saveIdentity(identity: AgentIdentity): Promise<void>
  seen(): Promise<{ readonly epoch: number; readonly generation: number }>
  saveSeen(seen: { readonly epoch: number; readonly generation: number }): Promise<void>
  /** Records of attempts, operations and sandboxes under way, by id: JSON values that the agent's loop defines. */
  list(kind: 'attempt' | 'operation' | 'sandbox'): Promise<ReadonlyMap<string, unknown>>
  put(kind: 'attempt' | 'operation' | 'sandbox', id: string, record: unknown): Promise<void>
  remove(kind: 'attempt' | 'operation' | 'sandbox', id: string): Promise<void>
}

export interface AgentIdentity {
  readonly hostId: string
  readonly name: string
  readonly controllerUrl: string
  /** SHA-256 (hex) of the controller's CA certificate (DER); null on loopback. */
  readonly caFingerprint: string | null
  readonly key: string
  /** A key that was announced and not yet proved. */
  readonly nextKey: string | null
}

/** A look at the machine. */
export interface HostProbe {
  bootId(): Promise<string>
  facts(): Promise<Omit<HostFacts, 'engines' | 'images' | 'readiness' | 'sandboxes' | 'clockSkewMs'>>
}
