import { z } from 'zod'
import type { HostId, OperationId } from './id.ts'
import { minute, second, type Instant, type Milliseconds } from './instant.ts'
import { UpgradeRequest } from './release.ts'

/** States of an operation; the names are those of row 003-33. */
export const operationStates = [
  'PENDING',
  'VALIDATING',
  'BLOCKED',
  'EXECUTING',
  'RUNNING_WARNING',
  'TIMEOUT_PENDING',
  'AWAITING_RECONNECT',
  'KILLING',
  'SUCCESS',
  'ERROR',
  'TIMEOUT',
  'SKIPPED',
  'KILLED',
  'PARTIAL',
  'STALE_BINARY',
  'SUSPICIOUS',
] as const
export const OperationState = z.enum(operationStates)
export type OperationState = (typeof operationStates)[number]

/** Which state follows which. Terminal states have none. Anything else throws. */
export const operationTransitions = {
  PENDING: ['VALIDATING', 'SKIPPED', 'KILLED', 'TIMEOUT'],
  VALIDATING: ['BLOCKED', 'EXECUTING', 'SKIPPED', 'ERROR', 'KILLED', 'TIMEOUT'],
  BLOCKED: ['VALIDATING', 'EXECUTING', 'SKIPPED', 'KILLED', 'TIMEOUT'],
  EXECUTING: [
    'RUNNING_WARNING',
    'TIMEOUT_PENDING',
    'AWAITING_RECONNECT',
    'KILLING',
    'SUCCESS',
    'ERROR',
    'PARTIAL',
    'STALE_BINARY',
    'SUSPICIOUS',
  ],
  RUNNING_WARNING: ['TIMEOUT_PENDING', 'AWAITING_RECONNECT', 'KILLING', 'SUCCESS', 'ERROR', 'PARTIAL', 'STALE_BINARY', 'SUSPICIOUS'],
  TIMEOUT_PENDING: ['RUNNING_WARNING', 'KILLING', 'SUCCESS', 'ERROR', 'PARTIAL', 'TIMEOUT'],
  AWAITING_RECONNECT: ['SUCCESS', 'ERROR', 'TIMEOUT', 'STALE_BINARY', 'SUSPICIOUS', 'KILLED'],
  KILLING: ['KILLED', 'TIMEOUT', 'SUCCESS', 'ERROR', 'PARTIAL'],
  SUCCESS: [],
  ERROR: [],
  TIMEOUT: [],
  SKIPPED: [],
  KILLED: [],
  PARTIAL: [],
  STALE_BINARY: [],
  SUSPICIOUS: [],
} as const satisfies Record<OperationState, readonly OperationState[]>

export function isTerminalOperation(state: OperationState): boolean {
  return operationTransitions[state].length === 0
}

/** In which states people may change an operation: read by the server (409) and by the web (`disabledReason`). */
export const operationCan = {
  /** From the moment that its limits count. */
  extend: ['VALIDATING', 'BLOCKED', 'EXECUTING', 'RUNNING_WARNING', 'TIMEOUT_PENDING', 'AWAITING_RECONNECT', 'KILLING'],
  kill: ['PENDING', 'VALIDATING', 'BLOCKED', 'EXECUTING', 'RUNNING_WARNING', 'TIMEOUT_PENDING', 'AWAITING_RECONNECT', 'KILLING'],
} as const satisfies Record<string, readonly OperationState[]>

/** What can be asked of a host. Each is carried out by its agent. */
export const OperationRequest = z.discriminatedUnion('kind', [
  /** Run a command on the host itself, as the agent's user. Admin only. */
  z.strictObject({ kind: z.literal('exec'), command: z.array(z.string()).min(1).max(1000) }),
  z.strictObject({ kind: z.literal('restartAgent'), drain: z.boolean() }),
  /** Put another release in place of the agent's own. Admin only, as `exec`. */
  UpgradeRequest,
  z.strictObject({ kind: z.literal('reboot') }),
  /** Prove readiness again now. */
  z.strictObject({ kind: z.literal('probe') }),
  /** Remove all job accounts and temporary data that no running sandbox owns. */
  z.strictObject({ kind: z.literal('clean') }),
  z.strictObject({
    kind: z.literal('sandboxCreate'),
    sandboxId: z.string(),
    engine: z.string(),
    image: z.string().nullable(),
    ttlS: z.int().positive(),
  }),
  z.strictObject({ kind: z.literal('sandboxStart'), sandboxId: z.string() }),
  z.strictObject({ kind: z.literal('sandboxStop'), sandboxId: z.string() }),
  /** Remove it with everything inside, and make it anew from its image under the same id, with the same lease. */
  z.strictObject({ kind: z.literal('sandboxReset'), sandboxId: z.string() }),
  z.strictObject({ kind: z.literal('sandboxRemove'), sandboxId: z.string() }),
  z.strictObject({ kind: z.literal('sandboxSnapshot'), sandboxId: z.string(), name: z.string() }),
])
export type OperationRequest = z.infer<typeof OperationRequest>
export type OperationKind = OperationRequest['kind']

export const operationKinds = [
  'exec',
  'restartAgent',
  'upgradeAgent',
  'reboot',
  'probe',
  'clean',
  'sandboxCreate',
  'sandboxStart',
  'sandboxStop',
  'sandboxReset',
  'sandboxRemove',
  'sandboxSnapshot',
] as const satisfies readonly OperationKind[]

export interface OperationLimits {
  readonly warning: Milliseconds
  readonly hard: Milliseconds
  readonly reconnect: Milliseconds
}

/** Defaults of row 003-34, per kind; the spec can override each. */
export const operationLimits = {
  exec: { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second },
  restartAgent: { warning: 2 * minute, hard: 5 * minute, reconnect: 90 * second },
  upgradeAgent: { warning: 5 * minute, hard: 15 * minute, reconnect: 5 * minute },
  reboot: { warning: 10 * minute, hard: 30 * minute, reconnect: 10 * minute },
  probe: { warning: 5 * minute, hard: 10 * minute, reconnect: 90 * second },
  clean: { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second },
  sandboxCreate: { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second },
  sandboxStart: { warning: 2 * minute, hard: 5 * minute, reconnect: 90 * second },
  sandboxStop: { warning: 2 * minute, hard: 5 * minute, reconnect: 90 * second },
  sandboxReset: { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second },
  sandboxRemove: { warning: 2 * minute, hard: 5 * minute, reconnect: 90 * second },
  sandboxSnapshot: { warning: 5 * minute, hard: 15 * minute, reconnect: 90 * second },
} as const satisfies Record<OperationKind, OperationLimits>

/** One asked-for change to a host: a durable row, delivered as desired state. At most one per host is past PENDING and not terminal. */
export interface Operation {
  readonly id: OperationId
  readonly hostId: HostId
  readonly request: OperationRequest
  readonly state: OperationState
  readonly generation: number
  readonly limits: OperationLimits
  readonly requestedBy: string
  readonly requestedAt: Instant
  readonly startedAt: Instant | null
  /** When `state` last changed: the limits of AWAITING_RECONNECT and KILLING count from here. */
  readonly changedAt: Instant
  /** Boot id of the host when the operation started: another one proves a reboot. */
  readonly startedBootId: string | null
  /** When the agent said it was done; success needs facts newer than this. */
  readonly completedAt: Instant | null
  readonly endedAt: Instant | null
  readonly killRequested: boolean
  /** Hard limit as extended by people. */
  readonly deadline: Instant | null
  readonly exitCode: number | null
  readonly pid: number | null
  /** Last 64 KiB of output, control characters removed. */
  readonly outputTail: string
  readonly reason: string
}
