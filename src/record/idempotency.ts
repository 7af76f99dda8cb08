import type { Reader, Writer } from '../ports/store.ts'

/** The answer of an accepted create, kept for a day under the caller and the key that came with it. Hash and body are sealed. */
export interface StoredAnswer {
  readonly requestHash: string
  readonly status: number
  readonly body: string
}

/** The stored answer of a key, or undefined. */
export async function findAnswer(db: Reader, principal: string, key: string): Promise<StoredAnswer | undefined> {
  const row = await db
    .selectFrom('idempotency')
    .select(['request_hash', 'status', 'body'])
    .where('principal', '=', principal)
    .where('key', '=', key)
    .executeTakeFirst()
  return row === undefined ? undefined : { requestHash: row.request_hash, status: row.status, body: row.body }
}

/** Keeps an answer, in the transaction of the create that it tells of. */
export async function keepAnswer(
  tx: Writer,
  answer: StoredAnswer & { readonly principal: string; readonly key: string; readonly at: number },
): Promise<void> {
  await tx
    .insertInto('idempotency')
    .values({
      principal: answer.principal,
      key: answer.key,
      request_hash: answer.requestHash,
      status: answer.status,
      body: answer.body,
      created_at: answer.at,
    })
    .execute()
}

/** Forgets answers that are older than the moment given; returns how many. */
export async function forgetAnswersBefore(tx: Writer, at: number): Promise<number> {
  const result = await tx.deleteFrom('idempotency').where('created_at', '<', at).executeTakeFirst()
  return Number(result.numDeletedRows)
}
