import { CideryError } from '../model/errors.ts'
import type { Role, User } from '../model/identity.ts'
import type { Reader, Tables, Writer } from '../ports/store.ts'

function userOf(row: Tables['users']): User {
  const { queues } = JSON.parse(row.doc) as { queues: string[] }
  return {
    id: row.id,
    name: row.name,
    role: row.role as Role,
    queues,
    createdAt: row.created_at,
    disabled: row.disabled === 1,
    generation: row.generation,
  }
}

/** A user and the hash of the password. */
export interface UserWithPassword {
  readonly user: User
  readonly passwordHash: string
}

export async function findUser(db: Reader, name: string): Promise<UserWithPassword | undefined> {
  const row = await db.selectFrom('users').selectAll().where('name', '=', name).executeTakeFirst()
  return row === undefined ? undefined : { user: userOf(row), passwordHash: row.password_hash }
}

export async function findUserById(db: Reader, id: string): Promise<User | undefined> {
  const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : userOf(row)
}

/** Throws NOT_FOUND. */
export async function requireUser(db: Reader, name: string): Promise<UserWithPassword> {
  const found = await findUser(db, name)
  if (found === undefined) throw new CideryError('NOT_FOUND', `there is no user ${name}`, { hint: 'cidery user ls' })
  return found
}

/** Users in order of name, after a name. */
export async function listUsers(db: Reader, page: { readonly after: string | null; readonly limit: number }): Promise<readonly User[]> {
  let query = db.selectFrom('users').selectAll().orderBy('name').limit(page.limit)
  if (page.after !== null) query = query.where('name', '>', page.after)
  return (await query.execute()).map(userOf)
}

export async function countUsers(db: Reader): Promise<number> {
  const row = await db
    .selectFrom('users')
    .select((build) => build.fn.countAll().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Adds a user. Throws CONFLICT when the name is taken. */
export async function insertUser(tx: Writer, user: User, passwordHash: string): Promise<void> {
  if ((await findUser(tx, user.name)) !== undefined) {
    throw new CideryError('CONFLICT', `there is a user ${user.name} already`, { hint: `cidery user set ${user.name} --role …` })
  }
  await tx
    .insertInto('users')
    .values({ ...columnsOf(user), id: user.id, name: user.name, created_at: user.createdAt, password_hash: passwordHash })
    .execute()
}

function columnsOf(user: User): Pick<Tables['users'], 'role' | 'disabled' | 'generation' | 'doc'> {
  return { role: user.role, disabled: user.disabled ? 1 : 0, generation: user.generation, doc: JSON.stringify({ queues: user.queues }) }
}

/** Writes a changed user, whose generation is one above the stored one; with a password hash when the password changed too. */
export async function updateUser(tx: Writer, user: User, passwordHash?: string): Promise<void> {
  const result = await tx
    .updateTable('users')
    .set({ ...columnsOf(user), ...(passwordHash === undefined ? {} : { password_hash: passwordHash }) })
    .where('id', '=', user.id)
    .where('generation', '=', user.generation - 1)
    .executeTakeFirst()
  if (Number(result.numUpdatedRows) !== 1)
    throw new CideryError('STALE_GENERATION', `the user ${user.name} changed meanwhile`, { hint: 'read it again' })
}

/** Removes a user with all sessions and API tokens. */
export async function removeUser(tx: Writer, userId: string): Promise<void> {
  await tx.deleteFrom('sessions').where('user_id', '=', userId).execute()
  await tx.deleteFrom('tokens').where('user_id', '=', userId).execute()
  await tx.deleteFrom('users').where('id', '=', userId).execute()
}

/** Throws CONFLICT when nobody else could administer the fleet without this user. */
export async function requireAnotherAdmin(tx: Writer, user: User): Promise<void> {
  const other = await tx
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'admin')
    .where('disabled', '=', 0)
    .where('id', '!=', user.id)
    .limit(1)
    .executeTakeFirst()
  if (other === undefined) {
    throw new CideryError('CONFLICT', `${user.name} is the last admin`, {
      hint: 'make another user admin first: cidery user add NAME --role admin',
    })
  }
}
