import { CideryError } from '../model/errors.ts'
import type { Host } from '../model/host.ts'
import type { SandboxId } from '../model/id.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import { sandboxCan, type Sandbox, type SandboxState, type WantedStream } from '../model/sandbox.ts'
import type { SandboxReport } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import type { Applied, RecordTx } from './commit.ts'
import { requireState } from './require-state.ts'
import { sandboxOf, sandboxRow } from './rows.ts'

const gone: readonly SandboxState[] = ['gone']

export interface NewSandbox {
  readonly id: SandboxId
  readonly name: string
  readonly host: Host
  readonly engine: EngineName
  readonly image: string | null
  readonly ttlMs: Milliseconds
  readonly hardMs: Milliseconds
  readonly idleMs: Milliseconds | null
}

/** Adds a person's sandbox with its leases. CONFLICT when the name is taken. */
export async function createSandbox(tx: RecordTx, wanted: NewSandbox): Promise<Sandbox> {
  const taken = await tx.db
    .selectFrom('sandboxes')
    .select('id')
    .where('name', '=', wanted.name)
    .where('state', 'not in', gone)
    .orderBy('id')
    .executeTakeFirst()
  if (taken !== undefined)
    throw new CideryError('CONFLICT', `the sandbox name ${wanted.name} is taken by ${taken.id}`, {
      hint: 'choose another name, or cidery sandbox ls',
    })
  const hardExpiresAt = tx.now + wanted.hardMs
  const sandbox: Sandbox = {
    id: wanted.id,
    name: wanted.name,
    hostId: wanted.host.id,
    engine: wanted.engine,
    image: wanted.image,
    state: 'requested',
    reason: '',
    isolation: null,
    createdBy: tx.author.actor,
    createdAt: tx.now,
    expiresAt: Math.min(hardExpiresAt, tx.now + wanted.ttlMs),
    hardExpiresAt,
    idleMs: wanted.idleMs,
    lastUsedAt: tx.now,
    warnedAt: null,
    generation: 1,
  }
  await tx.db.insertInto('sandboxes').values(sandboxRow(sandbox)).execute()
  tx.touch('sandbox', sandbox.id)
  tx.desire(sandbox.hostId)
  tx.note('sandbox.created', `sandbox/${sandbox.id}`, {
    data: { name: sandbox.name, host: wanted.host.name, engine: sandbox.engine, expiresAt: sandbox.expiresAt },
  })
  return sandbox
}

/** A sandbox by id or name; of those that had the same name, the one that exists. */
export async function readSandbox(db: Reader, idOrName: string): Promise<Sandbox> {
  const rows = await db
    .selectFrom('sandboxes')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]))
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
  const row = rows.find(({ state }) => state !== 'gone') ?? rows[0]
  if (row === undefined) throw new CideryError('NOT_FOUND', `no sandbox has the name or id ${idOrName}`, { hint: 'cidery sandbox ls' })
  return sandboxOf(row)
}

/** Sandboxes that exist or are to exist, in order of creation. */
export async function listSandboxes(db: Reader): Promise<readonly Sandbox[]> {
  const rows = await db.selectFrom('sandboxes').selectAll().where('state', 'not in', gone).orderBy('created_at').orderBy('id').execute()
  return rows.map(sandboxOf)
}

export async function sandboxesOfHosts(db: Reader, hostIds: readonly string[]): Promise<readonly Sandbox[]> {
  const sandboxes: Sandbox[] = []
  for (const part of chunks(hostIds, 500)) {
    const rows = await db
      .selectFrom('sandboxes')
      .selectAll()
      .where('host_id', 'in', part)
      .where('state', 'not in', gone)
      .orderBy('created_at')
      .orderBy('id')
      .execute()
    for (const row of rows) sandboxes.push(sandboxOf(row))
  }
  return sandboxes
}

/** Writes a sandbox back unless it changed or is gone. */
async function saveSandbox(tx: RecordTx, before: Sandbox, change: Partial<Sandbox>): Promise<Sandbox | null> {
  const after: Sandbox = { ...before, ...change, generation: change.generation ?? before.generation + 1 }
  const { id: _id, ...row } = sandboxRow(after)
  const done = await tx.db
    .updateTable('sandboxes')
    .set(row)
    .where('id', '=', before.id)
    .where('generation', '=', before.generation)
    .where('state', 'not in', gone)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) return null
  tx.touch('sandbox', before.id)
  return after
}

export function requireSandboxCan(sandbox: Sandbox, action: keyof typeof sandboxCan): void {
  requireState({ kind: 'sandbox', ...sandbox }, { action, allowed: sandboxCan[action], hint: 'cidery sandbox ls' })
}

/** Takes a sandbox off what its host should hold; the host removes it and says so. Asking again changes nothing. */
export async function removeSandbox(tx: RecordTx, sandbox: Sandbox, reason: string): Promise<Sandbox> {
  if (sandbox.state === 'removing' || sandbox.state === 'gone') return sandbox
  const removing = await saveSandbox(tx, sandbox, { state: 'removing', reason })
  if (removing === null) return sandbox
  tx.desire(sandbox.hostId)
  tx.note('sandbox.changed', `sandbox/${sandbox.id}`, { data: { state: 'removing', reason } })
  return removing
}

export async function removeSandboxByStep(
  tx: RecordTx,
  step: { readonly sandboxId: string; readonly generation: number; readonly reason: string },
): Promise<Applied> {
  const row = await tx.db.selectFrom('sandboxes').selectAll().where('id', '=', step.sandboxId).executeTakeFirst()
  if (row === undefined || row.generation !== step.generation) return 'stale'
  const sandbox = sandboxOf(row)
  return (await removeSandbox(tx, sandbox, step.reason)) === sandbox ? 'stale' : 'done'
}

export async function warnSandbox(
  tx: RecordTx,
  step: { readonly sandboxId: string; readonly generation: number; readonly expiresAt: Instant },
): Promise<Applied> {
  const row = await tx.db.selectFrom('sandboxes').selectAll().where('id', '=', step.sandboxId).executeTakeFirst()
  if (row === undefined || row.generation !== step.generation) return 'stale'
  const warned = await saveSandbox(tx, sandboxOf(row), { warnedAt: tx.now, generation: step.generation })
  if (warned === null) return 'stale'
  tx.note('sandbox.expiring', `sandbox/${step.sandboxId}`, { data: { expiresAt: step.expiresAt, timeLeftMs: step.expiresAt - tx.now } })
  return 'done'
}

/** A sandbox that was never made, since its host could not: it stays to be seen until it is removed or its lease ends. */
export async function failRequested(tx: RecordTx, id: string, reason: string): Promise<void> {
  const row = await tx.db.selectFrom('sandboxes').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined || row.state !== 'requested') return
  const failed = await saveSandbox(tx, sandboxOf(row), { state: 'failed', reason })
  if (failed !== null) tx.note('sandbox.changed', `sandbox/${id}`, { result: 'failed', data: { state: 'failed', reason } })
}

/** The host left the fleet: whatever it held is out of reach. */
export async function forgetSandboxesOf(tx: RecordTx, hostId: string): Promise<void> {
  for (const sandbox of await sandboxesOfHosts(tx.db, [hostId])) {
    const forgotten = await saveSandbox(tx, sandbox, { state: 'gone', reason: 'its host left the fleet' })
    if (forgotten !== null) tx.note('sandbox.removed', `sandbox/${sandbox.id}`, { data: { state: 'gone', reason: forgotten.reason } })
  }
}

/** Somebody opened a shell or command: its idle lease starts anew. The host is told of it whichever controller it asks, until it connects or the time is over. */
export async function wantStream(tx: RecordTx, sandboxId: string, stream: WantedStream): Promise<void> {
  const row = await tx.db.selectFrom('sandboxes').selectAll().where('id', '=', sandboxId).executeTakeFirst()
  if (row === undefined) return
  const sandbox = sandboxOf(row)
  const wantedStreams = [...(sandbox.wantedStreams ?? []).filter(({ until }) => until > tx.now), stream]
  await saveSandbox(tx, sandbox, { lastUsedAt: tx.now, warnedAt: null, wantedStreams })
}

/** The host connected: what was to be run is not kept any longer. */
export async function forgetStream(tx: RecordTx, about: { readonly sandboxId: string; readonly streamId: string }): Promise<void> {
  const row = await tx.db.selectFrom('sandboxes').selectAll().where('id', '=', about.sandboxId).executeTakeFirst()
  const sandbox = row === undefined ? null : sandboxOf(row)
  if (sandbox?.wantedStreams === undefined) return
  await saveSandbox(tx, sandbox, { wantedStreams: sandbox.wantedStreams.filter(({ id }) => id !== about.streamId) })
}

/** What a host says of its sandboxes: its own records, and, when it sent facts, what its engines really hold. */
export interface SandboxNews {
  readonly reports: readonly SandboxReport[]
  readonly held: readonly { readonly id: string }[] | null
}

/**
 * Stores what a host says of its sandboxes. One that neither its records nor its engines have is gone when it was to be removed, and failed when it was
 * there before. Reports of sandboxes that are not this host's are passed over.
 */
export async function recordSandboxReports(tx: RecordTx, hostId: string, news: SandboxNews): Promise<void> {
  if (news.reports.length === 0 && news.held === null) return
  const rows = await tx.db
    .selectFrom('sandboxes')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('state', 'not in', gone)
    .orderBy('id')
    .execute()
  const reported = new Map(news.reports.map((report) => [report.id, report]))
  const held = news.held === null ? null : new Set(news.held.map(({ id }) => id))
  for (const row of rows) {
    const sandbox = sandboxOf(row)
    const report = reported.get(sandbox.id)
    if (report !== undefined) await recordSandboxReport(tx, sandbox, report)
    else if (held !== null && !held.has(sandbox.id)) await recordMissing(tx, sandbox)
  }
}

async function recordMissing(tx: RecordTx, sandbox: Sandbox): Promise<void> {
  if (sandbox.state === 'requested') return
  const state = sandbox.state === 'removing' ? 'gone' : 'failed'
  if (state === sandbox.state) return
  const reason = state === 'gone' ? sandbox.reason : 'it is not on its host any more'
  const saved = await saveSandbox(tx, sandbox, { state, reason })
  if (saved !== null)
    tx.note(state === 'gone' ? 'sandbox.removed' : 'sandbox.changed', `sandbox/${sandbox.id}`, { data: { state, reason } })
}

async function recordSandboxReport(tx: RecordTx, sandbox: Sandbox, report: SandboxReport): Promise<void> {
  // A sandbox that is being removed stays so until its host has none of it left.
  const state: SandboxState = sandbox.state === 'removing' && report.state !== 'gone' ? 'removing' : report.state
  if (state === sandbox.state && report.isolation === sandbox.isolation) return
  const saved = await saveSandbox(tx, sandbox, {
    state,
    isolation: report.isolation,
    reason: report.reason === '' ? sandbox.reason : report.reason,
  })
  if (saved === null) return
  tx.note(state === 'gone' ? 'sandbox.removed' : 'sandbox.changed', `sandbox/${sandbox.id}`, { data: { state, reason: saved.reason } })
}
