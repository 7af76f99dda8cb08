import { CideryError } from '../model/errors.ts'
import type { SecretBox } from '../ports/secrets.ts'
import type { Reader, Writer } from '../ports/store.ts'

/** A secret of a queue as people see it: everything but its value. */
export interface StoredSecret {
  readonly queue: string
  readonly name: string
  readonly setBy: string
  readonly setAt: number
}

/** What a sealed value is bound to: moved to another queue or name, it does not open. */
function contextOf(queue: string, name: string): string {
  return `${queue}/${name}`
}

/** Sets a secret, replacing an earlier value. */
export async function setSecret(tx: Writer, secret: StoredSecret & { readonly value: string }, box: SecretBox): Promise<void> {
  const sealed = box.seal(secret.value, contextOf(secret.queue, secret.name))
  const columns = { sealed, set_by: secret.setBy, set_at: secret.setAt }
  await tx
    .insertInto('secrets')
    .values({ queue: secret.queue, name: secret.name, ...columns })
    .onConflict((conflict) => conflict.columns(['queue', 'name']).doUpdateSet(columns))
    .execute()
}

/** Secrets of a queue in order of name, after a name. */
export async function listSecrets(
  db: Reader,
  queue: string,
  page: { readonly after: string | null; readonly limit: number },
): Promise<readonly StoredSecret[]> {
  let query = db
    .selectFrom('secrets')
    .select(['queue', 'name', 'set_by', 'set_at'])
    .where('queue', '=', queue)
    .orderBy('name')
    .limit(page.limit)
  if (page.after !== null) query = query.where('name', '>', page.after)
  return (await query.execute()).map((row) => ({ queue: row.queue, name: row.name, setBy: row.set_by, setAt: row.set_at }))
}

/** Names of the secrets of every queue, for views that only name them. */
export async function secretNames(db: Reader): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await db.selectFrom('secrets').select(['queue', 'name']).orderBy('queue').orderBy('name').execute()
  const names = new Map<string, string[]>()
  for (const { queue, name } of rows) {
    const of = names.get(queue)
    if (of === undefined) names.set(queue, [name])
    else of.push(name)
  }
  return names
}

/** Throws NOT_FOUND. */
export async function removeSecret(tx: Writer, queue: string, name: string): Promise<void> {
  const result = await tx.deleteFrom('secrets').where('queue', '=', queue).where('name', '=', name).executeTakeFirst()
  if (Number(result.numDeletedRows) === 0) {
    throw new CideryError('NOT_FOUND', `the queue ${queue} has no secret ${name}`, { hint: `cidery secret ls --queue ${queue}` })
  }
}

/**
 * The values of secrets of a queue by name, for the host that runs a job of that queue. Throws NOT_FOUND that names what is missing, and
 * INTERNAL when the key file is another one than the values were sealed with.
 */
export async function openSecrets(
  db: Reader,
  box: SecretBox,
  wanted: { readonly queue: string; readonly names: readonly string[] },
): Promise<Readonly<Record<string, string>>> {
  const { queue, names } = wanted
  if (names.length === 0) return {}
  const rows = await db
    .selectFrom('secrets')
    .select(['name', 'sealed'])
    .where('queue', '=', queue)
    .where('name', 'in', names)
    .orderBy('name')
    .execute()
  const values = Object.fromEntries(rows.map((row) => [row.name, box.open(row.sealed, contextOf(queue, row.name))]))
  const missing = names.filter((name) => !Object.hasOwn(values, name))
  if (missing.length > 0) {
    throw new CideryError('NOT_FOUND', `the queue ${queue} has no secret ${missing.join(', ')}`, {
      hint: `cidery secret set --queue ${queue} ${missing[0] ?? 'NAME'}`,
    })
  }
  return values
}
