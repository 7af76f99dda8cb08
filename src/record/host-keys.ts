import { CideryError } from '../model/errors.ts'
import type { Host, HostState } from '../model/host.ts'
import type { HostId } from '../model/id.ts'
import type { Instant } from '../model/instant.ts'
import type { Reader, Writer } from '../ports/store.ts'
import type { RecordTx } from './commit.ts'
import { readForWrite, saveHost, type HostWrite } from './hosts.ts'
import type { HostRow } from './rows.ts'

/** A host as its key knows it. */
export interface KeyHolder {
  readonly hostId: HostId
  readonly name: string
  readonly state: HostState
  /** The key is the announced next one, so its first use ends the old one. */
  readonly isNext: boolean
}

/** The host of a key's hash: its present key or the announced next one. Retired hosts have none. */
export async function findHostByKeyHash(db: Reader, keyHash: string): Promise<KeyHolder | undefined> {
  // Every request of an agent asks, nearly always with its present key. One column at a time is a plain look into an index.
  const row = (await rowOfKey(db, 'key_hash', keyHash)) ?? (await rowOfKey(db, 'next_key_hash', keyHash))
  if (row === undefined) return undefined
  return { hostId: row.id as HostId, name: row.name, state: row.state as HostState, isNext: row.key_hash !== keyHash }
}

async function rowOfKey(db: Reader, column: 'key_hash' | 'next_key_hash', keyHash: string) {
  return db
    .selectFrom('hosts')
    .select(['id', 'name', 'state', 'key_hash'])
    .where(column, '=', keyHash)
    .where('state', '!=', 'retired')
    .orderBy('id')
    .executeTakeFirst()
}

/** Announces a host's next key; the present one goes on until the next is first used. Throws CONFLICT for a key that is another host's. */
export async function announceKey(tx: Writer, hostId: string, keyHash: string): Promise<void> {
  const holder = await findHostByKeyHash(tx, keyHash)
  if (holder !== undefined && holder.hostId !== hostId)
    throw new CideryError('CONFLICT', 'the key is not a new one', { hint: 'make another key' })
  // An agent that lost the answer announces again, also after the key was first used.
  if (holder?.isNext === false) return
  await tx.updateTable('hosts').set({ next_key_hash: keyHash }).where('id', '=', hostId).where('state', '!=', 'retired').execute()
}

/** Makes the announced key the only one. Returns false when it is so already. */
export async function promoteKey(
  tx: Writer,
  use: { readonly hostId: string; readonly keyHash: string; readonly at: Instant },
): Promise<boolean> {
  const { hostId, keyHash, at } = use
  const row = await tx.selectFrom('hosts').select('doc').where('id', '=', hostId).executeTakeFirst()
  const doc = JSON.parse(row?.doc ?? '{}') as object
  const result = await tx
    .updateTable('hosts')
    .set({ key_hash: keyHash, next_key_hash: null, doc: JSON.stringify({ ...doc, key: { since: at } satisfies KeyDoc }) })
    .where('id', '=', hostId)
    .where('next_key_hash', '=', keyHash)
    .executeTakeFirst()
  return Number(result.numUpdatedRows) === 1
}

/** Revokes every key of a host: it is refused from its next request on. */
export async function revokeHostKeys(tx: Writer, hostId: string): Promise<void> {
  await tx.updateTable('hosts').set({ key_hash: null, next_key_hash: null }).where('id', '=', hostId).execute()
}

/** What is known of a host's key beside its hash; absent until its first rotation. */
interface KeyDoc {
  readonly since?: Instant
  /** An operator wants another one. */
  readonly asked?: boolean
}

/** When a host's key came to be: past a certain age it should make itself another one. `-Infinity` when it was asked to. */
export function keySince(row: Pick<HostRow, 'doc' | 'enrolled_at'>): Instant {
  // Few have another key than that of their enrolment, and every poll asks: a doc that does not name one is not read for it.
  if (!row.doc.includes('"key":')) return row.enrolled_at
  const { key } = JSON.parse(row.doc) as { readonly key?: KeyDoc }
  return key?.asked === true ? Number.NEGATIVE_INFINITY : (key?.since ?? row.enrolled_at)
}

/** Asks a host for another key. The old one works until the host first shows the new one. */
export async function askForNewKey(tx: RecordTx, write: HostWrite): Promise<Host> {
  const host = await readForWrite(tx, write, 'rotateKey')
  const saved = await saveHost(tx, host, {}, { key: { asked: true } satisfies KeyDoc })
  tx.note('host.keyAsked', `host/${host.name}`)
  tx.desire(host.id)
  return saved
}
