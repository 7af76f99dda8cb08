import { CideryError } from '../model/errors.ts'
import type { HostId } from '../model/id.ts'
import type { Labels } from '../model/shape.ts'
import type { Reader, Tables, Writer } from '../ports/store.ts'
import { hostDoc } from './rows.ts'

/** A single-use leave to join the fleet. Only the SHA-256 of its token is kept. */
export interface Enrolment {
  readonly id: string
  /** Name that the host gets; null: its own. */
  readonly name: string | null
  readonly pool: string
  readonly labels: Labels
  readonly createdBy: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly usedAt: number | null
  readonly hostId: string | null
}

function enrolmentOf(row: Tables['enrolments']): Enrolment {
  return {
    id: row.id,
    name: row.name,
    pool: row.pool,
    labels: JSON.parse(row.labels) as Labels,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    hostId: row.host_id,
  }
}

export async function insertEnrolment(tx: Writer, enrolment: Enrolment, tokenHash: string): Promise<void> {
  await tx
    .insertInto('enrolments')
    .values({
      id: enrolment.id,
      token_hash: tokenHash,
      name: enrolment.name,
      pool: enrolment.pool,
      labels: JSON.stringify(enrolment.labels),
      created_by: enrolment.createdBy,
      created_at: enrolment.createdAt,
      expires_at: enrolment.expiresAt,
      used_at: enrolment.usedAt,
      host_id: enrolment.hostId,
    })
    .execute()
}

/** The enrolment of a token's hash, used and expired ones too. */
export async function findEnrolmentByHash(db: Reader, tokenHash: string): Promise<Enrolment | undefined> {
  const row = await db.selectFrom('enrolments').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst()
  return row === undefined ? undefined : enrolmentOf(row)
}

/** Enrolments in order of id (oldest first), after an id. */
export async function listEnrolments(
  db: Reader,
  page: { readonly after: string | null; readonly limit: number },
): Promise<readonly Enrolment[]> {
  let query = db.selectFrom('enrolments').selectAll().orderBy('id').limit(page.limit)
  if (page.after !== null) query = query.where('id', '>', page.after)
  return (await query.execute()).map(enrolmentOf)
}

/** Takes an enrolment back. Throws NOT_FOUND, and CONFLICT when a host has used it. */
export async function removeEnrolment(tx: Writer, id: string): Promise<Enrolment> {
  const row = await tx.selectFrom('enrolments').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new CideryError('NOT_FOUND', `there is no enrolment ${id}`)
  const enrolment = enrolmentOf(row)
  if (enrolment.usedAt !== null) {
    throw new CideryError('CONFLICT', `enrolment ${id} was used by a host already`, {
      hint: `to take the host out of the fleet: cidery host retire ${enrolment.hostId ?? ''}`,
    })
  }
  await tx.deleteFrom('enrolments').where('id', '=', id).execute()
  return enrolment
}

/** Marks an enrolment as used by a host. Returns false when another host was faster. */
export async function useEnrolment(tx: Writer, id: string, use: { readonly at: number; readonly hostId: string }): Promise<boolean> {
  const result = await tx
    .updateTable('enrolments')
    .set({ used_at: use.at, host_id: use.hostId })
    .where('id', '=', id)
    .where('used_at', 'is', null)
    .executeTakeFirst()
  return Number(result.numUpdatedRows) === 1
}

/** Forgets enrolments that ended before a moment. */
export async function removeEnrolmentsEndedBefore(tx: Writer, at: number): Promise<void> {
  await tx.deleteFrom('enrolments').where('expires_at', '<', at).execute()
}

export interface NewHost {
  readonly id: HostId
  readonly name: string
  readonly pool: string
  readonly labels: Labels
  readonly keyHash: string
  readonly at: number
}

/** A machine joins the fleet; nothing is known of it yet. */
export async function insertHost(tx: Writer, host: NewHost): Promise<void> {
  await tx
    .insertInto('hosts')
    .values({
      id: host.id,
      name: host.name,
      pool: host.pool,
      state: 'enrolled',
      generation: 1,
      desired_generation: 1,
      last_seen_at: null,
      boot_id: null,
      key_hash: host.keyHash,
      next_key_hash: null,
      enrolled_at: host.at,
      doc: hostDoc({ labels: host.labels, schedulable: { kind: 'open' }, facts: null, failureStreak: 0, repairedAt: null }),
    })
    .execute()
}
