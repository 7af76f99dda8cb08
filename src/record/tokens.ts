import { CideryError } from '../model/errors.ts'
import type { ApiToken, Scope } from '../model/identity.ts'
import type { Reader, Tables, Writer } from '../ports/store.ts'

function tokenOf(row: Tables['tokens']): ApiToken {
  const doc = JSON.parse(row.doc) as { scopes: Scope[]; queues: string[] }
  return {
    id: row.id,
    name: row.name,
    userId: row.user_id,
    scopes: doc.scopes,
    queues: doc.queues,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  }
}

export async function insertToken(tx: Writer, token: ApiToken, tokenHash: string): Promise<void> {
  await tx
    .insertInto('tokens')
    .values({
      id: token.id,
      token_hash: tokenHash,
      user_id: token.userId,
      name: token.name,
      created_at: token.createdAt,
      expires_at: token.expiresAt,
      revoked_at: token.revokedAt,
      last_used_at: token.lastUsedAt,
      doc: JSON.stringify({ scopes: token.scopes, queues: token.queues }),
    })
    .execute()
}

/** The token of a hash, revoked and expired ones too. */
export async function findTokenByHash(db: Reader, tokenHash: string): Promise<ApiToken | undefined> {
  const row = await db.selectFrom('tokens').selectAll().where('token_hash', '=', tokenHash).executeTakeFirst()
  return row === undefined ? undefined : tokenOf(row)
}

/** Throws NOT_FOUND. */
export async function requireToken(db: Reader, id: string): Promise<ApiToken> {
  const row = await db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw new CideryError('NOT_FOUND', `there is no token ${id}`, { hint: 'cidery token ls' })
  return tokenOf(row)
}

export interface TokenWithOwner {
  readonly token: ApiToken
  readonly owner: string
}

/** Tokens in order of id (oldest first), after an id; of one user, or of all. */
export async function listTokens(
  db: Reader,
  page: { readonly userId: string | null; readonly after: string | null; readonly limit: number },
): Promise<readonly TokenWithOwner[]> {
  let query = db
    .selectFrom('tokens')
    .innerJoin('users', 'users.id', 'tokens.user_id')
    .selectAll('tokens')
    .select('users.name as owner')
    .orderBy('tokens.id')
    .limit(page.limit)
  if (page.userId !== null) query = query.where('tokens.user_id', '=', page.userId)
  if (page.after !== null) query = query.where('tokens.id', '>', page.after)
  return (await query.execute()).map((row) => ({ token: tokenOf(row), owner: row.owner }))
}

/** Marks a token as revoked; a second time changes nothing. */
export async function revokeToken(tx: Writer, id: string, at: number): Promise<void> {
  await tx.updateTable('tokens').set({ revoked_at: at }).where('id', '=', id).where('revoked_at', 'is', null).execute()
}

/** Writes when tokens were last used; many at once, since each request uses one. */
export async function markTokensUsed(tx: Writer, uses: ReadonlyMap<string, number>): Promise<void> {
  for (const [id, at] of [...uses].sort(([one], [other]) => (one < other ? -1 : 1))) {
    await tx.updateTable('tokens').set({ last_used_at: at }).where('id', '=', id).execute()
  }
}

/** Forgets tokens that ended before a moment; the journal still tells of them. */
export async function removeTokensEndedBefore(tx: Writer, at: number): Promise<void> {
  await tx
    .deleteFrom('tokens')
    .where((build) => build.or([build('expires_at', '<', at), build('revoked_at', '<', at)]))
    .execute()
}
