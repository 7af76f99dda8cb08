import { sql, type SelectQueryBuilder } from 'kysely'
import { CideryError } from '../model/errors.ts'
import { hostCan, hostTransitions, type Host, type HostFacts, type HostState, type Schedulable } from '../model/host.ts'
import type { Instant } from '../model/instant.ts'
import type { Attempt, EngineName, Outcome } from '../model/job.ts'
import type { Reader, Tables, Writer } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import type { RecordTx } from './commit.ts'
import { compiledOnce } from './compiled.ts'
import { forgetImagesOf } from './forget-images.ts'
import { pageOfRows, readCursor, type Page, type PageRequest } from './pages.ts'
import { requireState } from './require-state.ts'
import { hostDocOf, hostOf, type HostRow } from './rows.ts'
import { forgetSandboxesOf } from './sandboxes.ts'

export async function findHostRow(db: Reader, id: string): Promise<HostRow | undefined> {
  return (await hostById(db, id))[0]
}

const hostById = compiledOnce((db: Reader, id: string) => db.selectFrom('hosts').selectAll().where('id', '=', id))

/** A host by id or name; of hosts that had the same name one after another, the one that is not retired, else the latest. */
export async function readHost(db: Reader, idOrName: string): Promise<Host> {
  const rows = await db
    .selectFrom('hosts')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]))
    .orderBy('enrolled_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
  const row = rows.find(({ state }) => state !== 'retired') ?? rows[0]
  if (row === undefined) throw new CideryError('NOT_FOUND', `no host has the name or id ${idOrName}`, { hint: 'cidery host ls' })
  return hostOf(row)
}

type HostQuery = SelectQueryBuilder<Tables, 'hosts', HostRow>

export interface HostFilter {
  readonly pool?: string | undefined
  readonly state?: HostState | undefined
}

/** In order of names. */
export async function listHosts(db: Reader, filter: HostFilter, page: PageRequest): Promise<Page<Host>> {
  let query = db.selectFrom('hosts').selectAll()
  if (filter.pool !== undefined) query = query.where('pool', '=', filter.pool)
  if (filter.state !== undefined) query = query.where('state', '=', filter.state)
  return pageByName(query, page)
}

async function pageByName(query: HostQuery, page: PageRequest): Promise<Page<Host>> {
  let wanted = query
  if (page.cursor !== undefined) {
    const { at, id } = readCursor(page.cursor)
    wanted = wanted.where((eb) => eb.or([eb('name', '>', String(at)), eb.and([eb('name', '=', String(at)), eb('id', '>', id)])]))
  }
  const rows = await wanted
    .orderBy('name')
    .orderBy('id')
    .limit(page.limit + 1)
    .execute()
  return pageOfRows(rows, page.limit, { item: hostOf, cursor: (row: HostRow) => ({ at: row.name, id: row.id }) })
}

/** Hosts that are in the fleet, in order of names: all of them in pages, or those with one of some names or ids. */
export async function listFleet(db: Reader, names: readonly string[] | null, page: PageRequest): Promise<Page<Host>> {
  let query = db.selectFrom('hosts').selectAll().where('state', '!=', 'retired')
  if (names !== null) query = query.where((eb) => eb.or([eb('name', 'in', names), eb('id', 'in', names)]))
  return pageByName(query, page)
}

/** Every host that is in the fleet, in order of names. */
export async function allHosts(db: Reader): Promise<readonly Host[]> {
  const rows = await db.selectFrom('hosts').selectAll().where('state', '!=', 'retired').orderBy('name').orderBy('id').execute()
  return rows.map(hostOf)
}

/** Writes a host back if nobody changed it since it was read; raises its generation. */
// oxlint-disable-next-line max-params -- `extra` is for the few fields that are not the host's own
export async function saveHost(
  tx: RecordTx,
  before: Host,
  change: Partial<Pick<Host, 'state' | 'schedulable' | 'failureStreak' | 'repairedAt'>>,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Host> {
  const after: Host = { ...before, ...change, generation: before.generation + 1 }
  const row = await findHostRow(tx.db, before.id)
  const done = await tx.db
    .updateTable('hosts')
    .set({ state: after.state, generation: after.generation, doc: mergeDoc(row, after, extra) })
    .where('id', '=', before.id)
    .where('generation', '=', before.generation)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) throw stale(before)
  tx.touch('host', before.id)
  return after
}

function stale(host: Host): CideryError {
  return new CideryError('STALE_GENERATION', `the host ${host.name} changed since it was read`, {
    hint: `cidery host show ${host.name}, then try again`,
  })
}

/** Keeps what other parts may have put beside our fields. */
function mergeDoc(row: HostRow | undefined, host: Parameters<typeof hostDocOf>[0], extra: Readonly<Record<string, unknown>> = {}): string {
  const before = row === undefined ? {} : (JSON.parse(row.doc) as Record<string, unknown>)
  return JSON.stringify({ ...before, ...hostDocOf(host), ...extra })
}

/** Moves a host to another state; a move that the table does not have is a bug and throws. */
export async function moveHost(tx: RecordTx, host: Host, to: HostState): Promise<Host> {
  const allowed: readonly HostState[] = hostTransitions[host.state]
  if (!allowed.includes(to))
    throw new CideryError('INTERNAL', `a host cannot go from ${host.state} to ${to}`, { details: { host: host.name } })
  return saveHost(tx, host, { state: to })
}

export interface HostWrite {
  readonly host: string
  /** Generation that the caller has seen; null: whatever it is. */
  readonly ifMatch: number | null
}

/** The host for a change, as the caller saw it and in a state that allows it. */
export async function readForWrite(tx: RecordTx, write: HostWrite, action: keyof typeof hostCan): Promise<Host> {
  const host = await readHost(tx.db, write.host)
  if (write.ifMatch !== null && host.generation !== write.ifMatch) throw stale(host)
  requireState({ kind: 'host', ...host }, { action, allowed: hostCan[action], hint: `cidery host show ${host.name}` })
  return host
}

export async function cordonHost(tx: RecordTx, write: HostWrite, reason: string): Promise<Host> {
  const host = await readForWrite(tx, write, 'cordon')
  tx.note('host.cordoned', `host/${host.name}`, { data: { reason } })
  return setSchedulable(tx, host, { kind: 'cordoned', by: tx.author.actor, at: tx.now, reason })
}

export async function uncordonHost(tx: RecordTx, write: HostWrite): Promise<Host> {
  const host = await readForWrite(tx, write, 'uncordon')
  tx.note('host.uncordoned', `host/${host.name}`, { data: { was: host.schedulable.kind } })
  const open = await saveHost(tx, host, { schedulable: { kind: 'open' }, failureStreak: 0 })
  tx.desire(host.id)
  return open
}

export async function drainHost(
  tx: RecordTx,
  write: HostWrite,
  drain: { readonly reason: string; readonly deadlineMs: number | null },
): Promise<Host> {
  const host = await readForWrite(tx, write, 'drain')
  const deadline = drain.deadlineMs === null ? null : tx.now + drain.deadlineMs
  tx.note('host.draining', `host/${host.name}`, { data: { reason: drain.reason, deadline } })
  return setSchedulable(tx, host, { kind: 'draining', by: tx.author.actor, at: tx.now, reason: drain.reason, deadline })
}

/** Takes a host out of the fleet and its key with it. A host that reports and still runs jobs is refused: drain it first. */
export async function retireHost(tx: RecordTx, write: HostWrite): Promise<Host> {
  const host = await readForWrite(tx, write, 'retire')
  const busy = await tx.db
    .selectFrom('attempts')
    .select('id')
    .where('host_id', '=', host.id)
    .where('ended_at', 'is', null)
    .orderBy('id')
    .execute()
  if (host.state === 'up' && busy.length > 0) {
    throw new CideryError('CONFLICT', `the host ${host.name} still runs ${busy.length} ${busy.length === 1 ? 'job' : 'jobs'}`, {
      hint: `cidery host drain ${host.name}, and retire it when it is empty`,
      details: { attempts: busy.map(({ id }) => id) },
    })
  }
  const retired = await moveHost(tx, host, 'retired')
  await tx.db.updateTable('hosts').set({ key_hash: null, next_key_hash: null }).where('id', '=', host.id).execute()
  await forgetSandboxesOf(tx, host.id)
  await forgetImagesOf(tx, host.id)
  tx.note('host.retired', `host/${host.name}`)
  tx.desire(host.id)
  return retired
}

async function setSchedulable(tx: RecordTx, host: Host, schedulable: Schedulable): Promise<Host> {
  const saved = await saveHost(tx, host, { schedulable })
  tx.desire(host.id)
  return saved
}

/** Calls a host lost that was silent for too long. */
export async function loseHost(
  tx: RecordTx,
  step: { readonly hostId: string; readonly hostGeneration: number; readonly silentMs: number },
): Promise<'done' | 'stale'> {
  const row = await findHostRow(tx.db, step.hostId)
  if (row === undefined || row.generation !== step.hostGeneration || row.state !== 'up') return 'stale'
  const host = hostOf(row)
  await moveHost(tx, host, 'lost')
  tx.note('host.lost', `host/${host.name}`, { data: { silentMs: step.silentMs, lastSeenAt: host.lastSeenAt } })
  return 'done'
}

export async function quarantineHost(
  tx: RecordTx,
  step: {
    readonly hostId: string
    readonly hostGeneration: number
    readonly reason: string
    readonly cure: string
    readonly repair: readonly EngineName[] | null
  },
): Promise<'done' | 'stale'> {
  const row = await findHostRow(tx.db, step.hostId)
  if (row === undefined || row.generation !== step.hostGeneration || row.state === 'retired') return 'stale'
  const host = hostOf(row)
  const { reason, cure } = step
  const quarantine = { kind: 'quarantined' as const, at: tx.now, reason, cure }
  const repair = step.repair === null ? null : { engines: [...step.repair], tries: 0 }
  await setSchedulable(tx, host, repair === null ? quarantine : { ...quarantine, repair })
  tx.note('host.quarantined', `host/${host.name}`, { data: { reason, cure, repair: step.repair } })
  return 'done'
}

/** Facts and boot of a host that just reported; brings it up when it was lost or new. */
export async function recordHostReport(
  tx: RecordTx,
  seen: HostRow,
  report: { readonly bootId: string; readonly facts: HostFacts | null },
): Promise<Host> {
  const host = hostOf(seen)
  let now = host
  if (host.state !== 'up') {
    now = await moveHost(tx, host, 'up')
    tx.note('host.up', `host/${host.name}`, { data: { was: host.state } })
  }
  const rebooted = host.bootId !== report.bootId
  if (!rebooted && report.facts === null && host.state === 'up') return now
  if (rebooted && host.bootId !== null) {
    tx.note('host.rebooted', `host/${host.name}`, { data: { from: host.bootId, to: report.bootId } })
    tx.desire(host.id)
  }
  const kept = rebooted ? restarted(now.facts) : now.facts
  const after: Host = { ...now, bootId: report.bootId, facts: report.facts ?? kept, lastSeenAt: tx.now }
  const row = now === host ? seen : await findHostRow(tx.db, host.id)
  await tx.db
    .updateTable('hosts')
    .set({ boot_id: after.bootId, last_seen_at: tx.now, doc: mergeDoc(row, after) })
    .where('id', '=', host.id)
    .execute()
  tx.touch('host', host.id)
  return after
}

/** What an earlier boot had seen, without the restart that it needed: it has had one, and says itself when it needs another. */
function restarted(facts: HostFacts | null): HostFacts | null {
  if (facts === null) return null
  const { needsReboot: _, ...kept } = facts
  return kept
}

/**
 * Counts failures of the infrastructure in a row. Attempts that ended because the host went away count once per boot, however many there were:
 * one power cut under four jobs is one failure.
 */
export async function countFailure(
  tx: RecordTx,
  attempt: Attempt,
  end: { readonly outcome: Outcome; readonly proof: boolean },
): Promise<void> {
  const row = await findHostRow(tx.db, attempt.hostId)
  if (row === undefined) return
  const host = hostOf(row)
  const { failedBootId } = JSON.parse(row.doc) as { failedBootId?: string }
  const streak = nextStreak(host.failureStreak, { ...end, counted: failedBootId === attempt.hostBootId })
  if (streak === host.failureStreak) return
  const extra = end.proof ? { failedBootId: attempt.hostBootId } : {}
  await tx.db
    .updateTable('hosts')
    .set({ doc: mergeDoc(row, { ...host, failureStreak: streak }, extra) })
    .where('id', '=', host.id)
    .execute()
  tx.touch('host', host.id)
}

function nextStreak(streak: number, end: { readonly outcome: Outcome; readonly proof: boolean; readonly counted: boolean }): number {
  switch (end.outcome.kind) {
    case 'infrastructure':
      return end.proof && end.counted ? streak : streak + 1
    case 'exited':
    case 'signalled':
    case 'timedOut':
      return 0
    case 'cancelled':
    case 'setupFailed':
      return streak
  }
}

/** Writes many last receipts in one go: of hosts, and of the attempts that live on them. */
export async function recordLastSeen(db: Writer, seen: ReadonlyMap<string, Instant>): Promise<void> {
  const entries = [...seen].toSorted(([a], [b]) => (a < b ? -1 : 1))
  for (const part of chunks(entries, 200)) {
    const heard = sql.join(part.map(([id, at]) => sql`(cast(${id} as text), cast(${at} as bigint))`))
    // Another controller may have heard of it later and written that first.
    await sql`update hosts set last_seen_at = heard.column2 from (values ${heard}) as heard
      where hosts.id = heard.column1 and coalesce(hosts.last_seen_at, 0) < heard.column2`.execute(db)
    await sql`update attempts set receipt_at = heard.column2 from (values ${heard}) as heard
      where attempts.host_id = heard.column1 and attempts.ended_at is null and attempts.receipt_at < heard.column2`.execute(db)
  }
}

/** Every host should look different from now on (the spec changed). */
export async function desireOfAllHosts(tx: RecordTx): Promise<void> {
  const rows = await tx.db.selectFrom('hosts').select('id').where('state', '!=', 'retired').orderBy('id').execute()
  for (const { id } of rows) tx.desire(id)
}

/** Names of hosts by id. */
export async function hostNames(db: Reader, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>()
  for (const part of chunks([...new Set(ids)].toSorted(), 500)) {
    const rows = await db.selectFrom('hosts').select(['id', 'name']).where('id', 'in', part).orderBy('id').execute()
    for (const { id, name } of rows) names.set(id, name)
  }
  return names
}
