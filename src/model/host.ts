import { z } from 'zod'
import type { HostId } from './id.ts'
import { StoredImage } from './image/stored.ts'
import type { Instant } from './instant.ts'
import { EngineName } from './job.ts'
import { Readiness } from './readiness.ts'
import { AgentRelease } from './release.ts'
import { Shape, type Labels } from './shape.ts'

/**
 * `enrolled`: has a key, has not reported yet. `up`: reports. `lost`: three syncs missed. `retired`: left the fleet, key revoked.
 * Whether jobs may go there is separate: see `Schedulable`.
 */
export const hostStates = ['enrolled', 'up', 'lost', 'retired'] as const
export type HostState = (typeof hostStates)[number]

/** Which state follows which; anything else is a bug and throws. */
export const hostTransitions = {
  enrolled: ['up', 'retired'],
  up: ['lost', 'retired'],
  lost: ['up', 'retired'],
  retired: [],
} as const satisfies Record<HostState, readonly HostState[]>

export const schedulableKinds = ['open', 'cordoned', 'draining', 'quarantined'] as const

/** A quarantine that cidery ends itself: it restarts the machine, and gives it jobs again when these engines boot. */
export const Repair = z.strictObject({
  engines: z.array(EngineName),
  /** Restarts that were asked for since the quarantine began. */
  tries: z.int().nonnegative(),
})
export type Repair = z.infer<typeof Repair>

/** Whether new jobs may be placed on a host, and who or what said no. */
export const Schedulable = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('open') }),
  z.strictObject({ kind: z.literal('cordoned'), by: z.string(), at: z.number(), reason: z.string() }),
  /** No new jobs; at `deadline` the running ones are cancelled. */
  z.strictObject({ kind: z.literal('draining'), by: z.string(), at: z.number(), reason: z.string(), deadline: z.number().nullable() }),
  /** Set by cidery itself: after repeated infrastructure failures, or for an ill that only a restart of the machine cures. */
  z.strictObject({ kind: z.literal('quarantined'), at: z.number(), reason: z.string(), cure: z.string(), repair: Repair.optional() }),
])
export type Schedulable = z.infer<typeof Schedulable>

export const EngineFacts = z.strictObject({
  name: EngineName,
  ok: z.boolean(),
  /** Why it cannot run jobs here, or what is weaker than it should be. */
  problems: z.array(z.string()),
  isolation: z.enum(['vm', 'account', 'directory']),
  /** Sandboxes at once. */
  slots: z.int().nonnegative(),
  version: z.string(),
  capabilities: z.strictObject({
    snapshot: z.boolean(),
    suspend: z.boolean(),
    nested: z.boolean(),
    vnc: z.boolean(),
    networks: z.array(z.enum(['nat', 'host', 'none'])),
    /** Parts of a shape that the engine really enforces here. */
    limits: z.array(z.enum(['cpu', 'memory', 'disk', 'processes'])),
    images: z.boolean(),
  }),
})
export type EngineFacts = z.infer<typeof EngineFacts>

/** What an agent reports of its machine. Ages are judged by `at`, on the host's clock. */
export const HostFacts = z.looseObject({
  at: z.number(),
  hostname: z.string().max(255),
  os: z.enum(['linux', 'macos']),
  osVersion: z.string().max(200),
  arch: z.enum(['x64', 'arm64']),
  agentVersion: z.string().max(100),
  /** What exactly runs there; agents before 0.2 do not say. */
  agentRelease: AgentRelease.optional(),
  capacity: Shape,
  free: Shape,
  load1: z.number(),
  /** Fraction 0…1. */
  diskUsed: z.number(),
  memoryFree: z.number(),
  network: z.strictObject({ addresses: z.array(z.string()), rxBytes: z.number(), txBytes: z.number() }),
  engines: z.array(EngineFacts),
  images: z.array(z.string()),
  /** Builds that are whole on the host, by its engines' own account; agents before 0.2 do not say. */
  storedImages: z.array(StoredImage).max(1000).optional(),
  readiness: z.array(Readiness),
  /** Sandboxes that exist on the host, by the engines' own account. */
  sandboxes: z.array(z.strictObject({ id: z.string(), engine: EngineName, state: z.string() })),
  /** Host clock minus controller clock in ms, as the agent measured it; null before the first answer. */
  clockSkewMs: z.number().nullable(),
  problems: z.array(z.string()),
  /** Engines that start nothing more until the machine is started anew, and why; agents before 0.2 do not say. */
  needsReboot: z.array(z.strictObject({ engine: EngineName, reason: z.string().max(500) })).optional(),
  /** Whether the agent restarts the machine when it is asked to (`--allow-reboot`); agents before 0.2 do not say. */
  mayReboot: z.boolean().optional(),
})
export type HostFacts = z.infer<typeof HostFacts>

export interface Host {
  readonly id: HostId
  readonly name: string
  readonly pool: string
  readonly labels: Labels
  readonly state: HostState
  readonly schedulable: Schedulable
  readonly generation: number
  /** Goes up by one with each change of what this host should look like; `sync` answers when it is above the agent's. */
  readonly desiredGeneration: number
  readonly bootId: string | null
  readonly enrolledAt: Instant
  readonly lastSeenAt: Instant | null
  readonly facts: HostFacts | null
  /** Infrastructure failures in a row, since the last attempt that ended otherwise. */
  readonly failureStreak: number
  /** When cidery last asked it to restart by itself. */
  readonly repairedAt: Instant | null
}

/** In which host states an action is allowed: read by the server (409) and by the web (`disabledReason`). */
export const hostCan = {
  cordon: ['enrolled', 'up', 'lost'],
  uncordon: ['enrolled', 'up', 'lost'],
  drain: ['enrolled', 'up', 'lost'],
  retire: ['enrolled', 'up', 'lost'],
  rotateKey: ['enrolled', 'up', 'lost'],
  operate: ['up'],
} as const satisfies Record<string, readonly HostState[]>
