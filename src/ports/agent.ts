import type { HostFacts } from '../model/host.ts'
import type { EngineName } from '../model/job.ts'
import type { EnrolRequest, EnrolResponse, SyncRequest, SyncResponse } from '../model/sync.ts'
import type { BuildLogs } from './build-logs.ts'
import type { Engine } from './engine.ts'
import type { IngredientStore } from './ingredients.ts'
import type { Log } from './log.ts'
import type { SourceMirrors } from './mirrors.ts'
import type { Processes } from './processes.ts'
import type { Ids, Random } from './random.ts'
import type { Releases } from './releases.ts'
import type { Supervisors } from './supervisors.ts'
import type { Clock, Timers } from './time.ts'

/** All that an agent needs from outside; `main/agent.ts` wires the real ones, tests bring fakes. */
export interface AgentPorts {
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly ids: Ids
  readonly link: ControllerLink
  readonly engines: ReadonlyMap<EngineName, Engine>
  readonly supervisors: Supervisors
  readonly journal: AgentJournal
  readonly probe: HostProbe
  readonly processes: Processes
  readonly mirrors: SourceMirrors
  readonly releases: Releases
  readonly ingredients: IngredientStore
  readonly buildLogs: BuildLogs
  readonly log: Log
}

/** The agent's way to its controller. Errors are CideryErrors: UNREACHABLE, UNAUTHENTICATED, FORBIDDEN, AGENT_TOO_OLD, …. */
export interface ControllerLink {
  enrol(request: EnrolRequest): Promise<EnrolResponse>
  sync(request: SyncRequest, signal: AbortSignal): Promise<SyncResponse>
  /** Appends to an attempt's log; returns the length that the controller holds. */
  appendLog(attemptId: string, offset: number, bytes: Uint8Array): Promise<number>
  /** The same for the log of a build that this host makes. */
  appendBuildLog(buildId: string, offset: number, bytes: Uint8Array): Promise<number>
  /** Says that the log ends at this length. */
  finishLog(attemptId: string, length: number): Promise<void>
  /** Uploads bytes unless the controller has them; resumes. `read` gives bytes from an offset. */
  uploadBlob(digest: string, sizeBytes: number, read: (offset: number) => AsyncIterable<Uint8Array>): Promise<void>
  downloadBlob(digest: string, offset: number): Promise<AsyncIterable<Uint8Array>>
  /** The values of the secrets of a job, by name; only for an attempt that this host runs now. */
  fetchSecrets(attemptId: string): Promise<Readonly<Record<string, string>>>
  /** Replaces this host's key by one whose SHA-256 is given; the old one goes when the new one is first used. */
  rotateKey(keyHash: string): Promise<void>
  /** One short GET of the health URL. False when nothing answers; throws FORBIDDEN when who answers is not the controller that was pinned. */
  health(timeoutMs: number): Promise<boolean>
  /** Connects a shell or command that somebody opened; resolves when it is over. */
  attachStream(streamId: string, run: StreamPeer): Promise<void>
}

/** Bytes both ways between a person's terminal and a process inside a sandbox. */
export interface StreamPeer {
  /** Resolves when more can be taken: until then nothing more is read from the other side. */
  onInput(bytes: Uint8Array): Promise<void>
  /** Nothing more will be typed. */
  onInputEnd(): void
  onResize(columns: number, rows: number): void
  onClosed(): void
  /** `write` resolves when the other side can take more. */
  start(output: { write(bytes: Uint8Array): Promise<void>; exit(code: number | null, signal: number | null): void }): void
}

/** Things under way whose records outlive the agent. */
export type JournalKind = 'attempt' | 'operation' | 'sandbox' | 'build'

/** What the agent remembers across its own death; each write is durable and atomic. */
export interface AgentJournal {
  /** Null until this host is enrolled. */
  identity(): Promise<AgentIdentity | null>
  saveIdentity(identity: AgentIdentity): Promise<void>
  /** The key that an enrolment under way shows, so that an answer that got lost can be asked for again. */
  enrolmentKey(): Promise<string | null>
  saveEnrolmentKey(key: string): Promise<void>
  seen(): Promise<{ readonly epoch: number; readonly generation: number }>
  saveSeen(seen: { readonly epoch: number; readonly generation: number }): Promise<void>
  /** Records of attempts, operations and sandboxes under way, by id: JSON values that the agent's loop defines. */
  list(kind: JournalKind): Promise<ReadonlyMap<string, unknown>>
  put(kind: JournalKind, id: string, record: unknown): Promise<void>
  remove(kind: JournalKind, id: string): Promise<void>
}

export interface AgentIdentity {
  readonly hostId: string
  readonly name: string
  /** URLs with commas between when there are several controllers. */
  readonly controllerUrl: string
  /** SHA-256 (hex) of the controller's CA certificate (DER); null on loopback. */
  readonly caFingerprint: string | null
  readonly key: string
  /** A key that was announced and not yet proved. */
  readonly nextKey: string | null
}

/** The part of a host's facts that the machine itself tells. */
export type MachineFacts = Pick<
  HostFacts,
  'hostname' | 'os' | 'osVersion' | 'arch' | 'capacity' | 'free' | 'load1' | 'diskUsed' | 'memoryFree' | 'network' | 'problems'
> & {
  /** TCP sockets that the kernel holds; long-lived hosts leak them. Null when it cannot be known. */
  readonly tcpSockets: number | null
}

/** A look at the machine. */
export interface HostProbe {
  bootId(): Promise<string>
  facts(): Promise<MachineFacts>
}
