import type { OperationId } from '../model/id.ts'
import type { OperationLimits } from '../model/operation.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow, saveHost } from './hosts.ts'
import { createOperation, liveOperationsOfHosts } from './operations.ts'
import { hostOf } from './rows.ts'

export interface RebootStep {
  readonly hostId: string
  readonly hostGeneration: number
  readonly reason: string
  /** Of the operation that is asked for. */
  readonly operationId: OperationId
  readonly limits: OperationLimits
}

/** Asks for the restart of a machine that is in repair. Looks once more at what runs there, right before. */
export async function rebootHost(tx: RecordTx, step: RebootStep): Promise<Applied> {
  const row = await findHostRow(tx.db, step.hostId)
  if (row === undefined || row.generation !== step.hostGeneration || row.state !== 'up') return 'stale'
  const host = hostOf(row)
  const { schedulable } = host
  if (schedulable.kind !== 'quarantined' || schedulable.repair === undefined || (await isInUse(tx, host.id))) return 'stale'
  const { operationId, limits, reason } = step
  const repair = { ...schedulable.repair, tries: schedulable.repair.tries + 1 }
  await saveHost(tx, host, { schedulable: { ...schedulable, repair }, repairedAt: tx.now })
  tx.note('host.repairing', `host/${host.name}`, { data: { reason, operation: operationId, tries: repair.tries } })
  await createOperation(tx, { id: operationId, host, request: { kind: 'reboot' }, limits, queueIfLost: false, silentMs: null })
  tx.desire(host.id)
  return 'done'
}

async function isInUse(tx: RecordTx, hostId: string): Promise<boolean> {
  const attempt = await tx.db
    .selectFrom('attempts')
    .select('id')
    .where('host_id', '=', hostId)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  if (attempt !== undefined || (await liveOperationsOfHosts(tx.db, [hostId])).length > 0) return true
  const sandbox = await tx.db
    .selectFrom('sandboxes')
    .select('id')
    .where('host_id', '=', hostId)
    .where('state', 'not in', ['failed', 'gone'])
    .executeTakeFirst()
  return sandbox !== undefined
}

/** Gives a host jobs again that was repaired. */
export async function returnHost(
  tx: RecordTx,
  step: { readonly hostId: string; readonly hostGeneration: number; readonly why: string },
): Promise<Applied> {
  const row = await findHostRow(tx.db, step.hostId)
  if (row === undefined || row.generation !== step.hostGeneration || row.state !== 'up') return 'stale'
  const host = hostOf(row)
  const { schedulable } = host
  if (schedulable.kind !== 'quarantined' || schedulable.repair === undefined) return 'stale'
  await saveHost(tx, host, { schedulable: { kind: 'open' }, failureStreak: 0 })
  tx.note('host.returned', `host/${host.name}`, { data: { why: step.why, tries: schedulable.repair.tries, quarantinedAt: schedulable.at } })
  tx.desire(host.id)
  return 'done'
}
