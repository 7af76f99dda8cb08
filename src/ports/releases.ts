import type { Instant, Milliseconds } from '../model/instant.ts'
import type { AgentRelease, UpgradeRequest } from '../model/release.ts'

/** A release that lies whole on this host. */
export interface InstalledRelease {
  readonly version: string
  readonly commit: string | null
  /** SHA-256 of its manifest. */
  readonly sha256: string
  /** Its folder. */
  readonly path: string
}

/** The last upgrade of this agent: under way, proved, or rolled back. */
export interface Upgrade {
  readonly operationId: string
  readonly from: InstalledRelease
  readonly to: InstalledRelease
  readonly beganAt: Instant
  /** From `beganAt`, what the new release has to be in sync with the controller. */
  readonly deadlineMs: Milliseconds
  /** Why the old release goes on; null: it does not, or not yet. */
  readonly failure: string | null
}

/**
 * Releases of the agent on this host. `current` names the one that the service starts, and stays what it is until the new one has proved itself: whatever
 * dies meanwhile, the next start is one of a release that works.
 */
export interface Releases {
  /** What runs in this process. */
  describe(): AgentRelease
  /** Why this agent cannot be upgraded; null: it can. */
  readonly refusal: string | null
  upgrade(): Promise<Upgrade | null>
  /**
   * Unpacks an archive beside the releases that are here, checking each file while it comes. Throws INVALID_INPUT when it is not the release that was
   * asked for, is for another kind of machine, or has one byte too many; then nothing of it stays. One that is here whole already is taken as it is.
   */
  stage(archive: AsyncIterable<Uint8Array>, wanted: UpgradeRequest): Promise<InstalledRelease>
  /** Starts it as far as it goes without being an agent. Throws ENGINE_FAILED with what it said. */
  check(release: InstalledRelease, signal: AbortSignal): Promise<void>
  /** From here on the next start of the agent is one of the new release, on trial. */
  begin(operationId: string, to: InstalledRelease, deadlineMs: Milliseconds): Promise<void>
  /** The release on trial, which runs in this process, works: `current` names it from now on. */
  confirm(): Promise<void>
  /** Removes releases but the present, the one before, and those that a program of `inUse` lies in. Gives the folders that are gone. */
  prune(inUse: readonly string[]): Promise<readonly string[]>
}
