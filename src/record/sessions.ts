import type { Reader, Writer } from '../ports/store.ts'

/** A browser session, or a login code that is not redeemed yet; found by the SHA-256 of its secret, which is kept nowhere. */
export interface Session {
  readonly idHash: string
  readonly userId: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly origin: string
}

export async function insertSession(tx: Writer, session: Session): Promise<void> {
  await tx
    .insertInto('sessions')
    .values({
      id_hash: session.idHash,
      user_id: session.userId,
      created_at: session.createdAt,
      expires_at: session.expiresAt,
      origin: session.origin,
    })
    .execute()
}

/** The session of a hash unless it expired. */
export async function findSession(db: Reader, idHash: string, now: number): Promise<Session | undefined> {
  const row = await db.selectFrom('sessions').selectAll().where('id_hash', '=', idHash).where('expires_at', '>', now).executeTakeFirst()
  if (row === undefined) return undefined
  return {
    idHash: row.id_hash,
    userId: row.user_id,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    origin: row.origin,
  }
}

export async function removeSession(tx: Writer, idHash: string): Promise<void> {
  await tx.deleteFrom('sessions').where('id_hash', '=', idHash).execute()
}

/** Ends every session of a user: the password changed, or the user was disabled. `except` keeps the one that asked for it. */
export async function removeSessionsOf(tx: Writer, userId: string, except?: string): Promise<void> {
  let query = tx.deleteFrom('sessions').where('user_id', '=', userId)
  if (except !== undefined) query = query.where('id_hash', '!=', except)
  await query.execute()
}

export async function removeExpiredSessions(tx: Writer, now: number): Promise<void> {
  await tx.deleteFrom('sessions').where('expires_at', '<=', now).execute()
}
