import { z } from 'zod'
import { CideryError } from '../../model/errors.ts'
import { OperationRequest, OperationState, isTerminalOperation, operationTransitions } from '../../model/operation.ts'
import { OperationReport, type AgentSettings, type DesiredOperation } from '../../model/sync.ts'
import type { AgentPorts } from '../../ports/agent.ts'

/** What the agent remembers of an operation until the controller knows its end and lists it no more. */
export const OperationRecord = z.object({
  id: z.string(),
  generation: z.number(),
  request: OperationRequest,
  state: OperationState,
  revision: z.number(),
  exitCode: z.number().nullable(),
  pid: z.number().nullable(),
  outputTail: z.string(),
  reason: z.string(),
  rejected: OperationReport.shape.rejected,
  warningMs: z.number(),
  hardMs: z.number(),
  startedAt: z.number(),
  bootId: z.string(),
  instanceId: z.string(),
  killAsked: z.boolean(),
  /** Reports that are not acknowledged, one per state: the controller sees each transition, in order. */
  unheard: z.array(OperationReport),
})
export type OperationRecord = z.infer<typeof OperationRecord>

/** An operation under way. */
export interface OperationTask {
  readonly record: () => OperationRecord
  readonly surroundings: OperationSurroundings
  /** Changes state (checked against the table) or other fields; in the journal before it is told. */
  move(state: OperationState, change?: OperationChange): Promise<void>
  /** Aborted when somebody wants it killed, or its hard limit was reached. */
  readonly kill: AbortSignal
  /** Resolves when the controller has heard of the present state, or after a short while. */
  heard(): Promise<void>
}

export type OperationChange = Partial<Pick<OperationRecord, 'exitCode' | 'pid' | 'outputTail' | 'reason'>>

/** How an operation ended, and the words for people. */
export interface OperationEnd {
  readonly state: 'SUCCESS' | 'ERROR' | 'PARTIAL' | 'KILLED' | 'TIMEOUT' | 'STALE_BINARY'
  readonly reason: string
  readonly exitCode?: number
  readonly outputTail?: string
}

export interface OperationSurroundings {
  readonly ports: AgentPorts
  readonly agentVersion: string
  readonly bootId: string
  readonly instanceId: string
  /** This agent is a new release on trial: the one before waits for it to prove itself. */
  readonly inTrial: boolean
  /** Whether this very process is in sync with a controller. */
  readonly online: () => boolean
  readonly settings: () => AgentSettings
  readonly stopping: AbortSignal
  /** Words that restart the machine; null: not allowed on this host. */
  readonly rebootCommand: readonly [string, ...string[]] | null
  /** Environment of commands on the host itself. */
  readonly hostEnvironment: Readonly<Record<string, string>>
  readonly liveAttempts: () => number
  readonly proveAll: () => Promise<{ readonly ok: boolean; readonly lines: readonly string[] }>
  /** Ids of sandboxes that somebody owns. */
  readonly owners: () => ReadonlySet<string>
  readonly sandboxes: SandboxVerbs
  /** Ends this agent; the service manager starts the next one. */
  readonly onRestart: () => void
}

/** What can be done to a sandbox that a person made. */
export interface SandboxVerbs {
  create(request: { readonly id: string; readonly engine: string; readonly image: string | null; readonly ttlS: number }): Promise<void>
  start(id: string): Promise<void>
  stop(id: string): Promise<void>
  /** Removes it with everything inside and makes it anew from its image; its id and its lease stay. */
  reset(id: string): Promise<void>
  remove(id: string): Promise<void>
  snapshot(id: string, name: string): Promise<void>
}

export function newOperationRecord(
  desired: DesiredOperation,
  at: number,
  who: { readonly bootId: string; readonly instanceId: string },
): OperationRecord {
  const { id, generation, request, warningMs, hardMs, want } = desired
  return {
    id,
    generation,
    request,
    state: 'PENDING',
    revision: 0,
    exitCode: null,
    pid: null,
    outputTail: '',
    reason: '',
    rejected: null,
    warningMs,
    hardMs,
    startedAt: at,
    ...who,
    killAsked: want === 'kill',
    unheard: [],
  }
}

/** The record after a change; throws CONFLICT for a transition that the table does not have. */
export function moved(record: OperationRecord, state: OperationState, change: Partial<OperationRecord>): OperationRecord {
  const allowed: readonly OperationState[] = operationTransitions[record.state]
  if (state !== record.state && !allowed.includes(state)) {
    throw new CideryError('CONFLICT', `an operation that is ${record.state} cannot become ${state}`)
  }
  const next = { ...record, ...change, state, revision: record.revision + 1 }
  const report = reportOf(next)
  const last = record.unheard.at(-1)
  const earlier = last?.state === state ? record.unheard.slice(0, -1) : record.unheard
  return { ...next, unheard: [...earlier, report] }
}

function reportOf(record: OperationRecord): OperationReport {
  const { id, generation, revision, state, exitCode, pid, outputTail, reason, rejected } = record
  return { id, generation, revision, state, exitCode, pid, outputTail, reason, rejected }
}

export function isOver(record: OperationRecord): boolean {
  return isTerminalOperation(record.state)
}
