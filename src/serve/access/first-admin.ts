import { scopesOfRole } from '../../model/identity.ts'
import type { ApiToken, User } from '../../model/identity.ts'
import type { Writer } from '../../ports/store.ts'
import { countUsers, findUser, insertUser } from '../../record/people.ts'
import { findTokenByHash, insertToken } from '../../record/tokens.ts'
import type { ServePorts } from '../serve-ports.ts'
import { credentialHash, newCredential } from './credential.ts'

/** Where the credentials of the machine's owner are kept: files of mode 0600 in the state directory. */
export interface CredentialFiles {
  readToken(): Promise<string | null>
  /** Durable when resolved. */
  saveToken(token: string): Promise<void>
  savePassword(user: string, password: string): Promise<void>
}

export interface FirstAdmin {
  readonly user: string
  /** This start made the user; the password is in its file. */
  readonly created: boolean
}

const adminName = 'admin'
const tokenMs = 366 * 86_400_000
/** Tokens made with it end before it does, so it always has room for their usual 90 days. */
const renewMs = 180 * 86_400_000

/**
 * Makes the first admin of a fresh fleet, and sees to it that the state directory holds an admin token that works for half a year more.
 * Files are written before the database, so that a death in between leaves a credential that does nothing and not an admin whom nobody can be.
 */
export async function prepareFirstAdmin(ports: ServePorts, files: CredentialFiles): Promise<FirstAdmin> {
  const created = await createAdmin(ports, files)
  await keepTokenFresh(ports, files)
  return { user: adminName, created }
}

async function createAdmin(ports: ServePorts, files: CredentialFiles): Promise<boolean> {
  if ((await ports.store.read(countUsers)) > 0) return false
  const password = Buffer.from(ports.random.bytes(18)).toString('base64url')
  const passwordHash = await ports.hasher.hash(password)
  await files.savePassword(adminName, password)
  const at = ports.clock.now()
  const user: User = {
    id: ports.ids.next('usr'),
    name: adminName,
    role: 'admin',
    queues: [],
    createdAt: at,
    disabled: false,
    generation: 1,
  }
  return ports.store.write(async (tx) => {
    // Another controller on the same database may have been first.
    if ((await countUsers(tx)) > 0) return false
    await insertUser(tx, user, passwordHash)
    await ports.append(tx, [
      {
        kind: 'user.created',
        at,
        actor: 'system',
        subject: `user/${adminName}`,
        origin: null,
        result: 'ok',
        data: { role: 'admin', first: true },
      },
    ])
    return true
  })
}

async function keepTokenFresh(ports: ServePorts, files: CredentialFiles): Promise<void> {
  const present = await files.readToken()
  const at = ports.clock.now()
  if (present !== null && (await worksUntil(ports, present)) > at + renewMs) return
  const owner = await ports.store.read((db) => findUser(db, adminName))
  // The admin was renamed away or disabled by somebody who knows why: no way back in is opened behind their back.
  if (owner === undefined || owner.user.disabled || owner.user.role !== 'admin') return
  const secret = newCredential(ports, 'token')
  await files.saveToken(secret)
  const token: ApiToken = {
    id: ports.ids.next('tok'),
    name: 'state-directory',
    userId: owner.user.id,
    scopes: scopesOfRole.admin,
    queues: [],
    createdAt: at,
    expiresAt: at + tokenMs,
    lastUsedAt: null,
    revokedAt: null,
  }
  await ports.store.write(async (tx) => storeToken(tx, ports, { token, secret }))
}

async function storeToken(tx: Writer, ports: ServePorts, made: { readonly token: ApiToken; readonly secret: string }): Promise<void> {
  const { token, secret } = made
  await insertToken(tx, token, credentialHash(ports, secret))
  const data = { name: token.name, scopes: token.scopes, expiresAt: token.expiresAt }
  await ports.append(tx, [
    { kind: 'token.created', at: token.createdAt, actor: 'system', subject: `token/${token.id}`, origin: null, result: 'ok', data },
  ])
}

/** When a token ends; 0 when it is unknown or revoked. */
async function worksUntil(ports: ServePorts, secret: string): Promise<number> {
  const token = await ports.store.read((db) => findTokenByHash(db, credentialHash(ports, secret)))
  return token === undefined || token.revokedAt !== null ? 0 : token.expiresAt
}
