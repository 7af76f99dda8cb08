import { CideryError } from '../model/errors.ts'
import { second, type Milliseconds } from '../model/instant.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Store, Writer } from '../ports/store.ts'
import type { Timers } from '../ports/time.ts'

/** What identifies the keys of a state directory without telling them. */
export interface KeyNames {
  /** Public half of the key that signs checkpoints. */
  readonly journal: string
  /** Beginning of the hash of the key that seals secrets. */
  readonly secrets: string
}

const keyRows = { journal: 'journal_key', secrets: 'secrets_key' } as const

/**
 * Sees to it that all controllers of one database have the same keys; the first one's are the fleet's. Throws CONFLICT for others: secrets would not
 * open on one controller, and checkpoints would not verify on the other.
 */
export async function requireSameKeys(store: Store, keys: KeyNames): Promise<void> {
  const present = await store.write(async (tx) => ({
    journal: await firstValue(tx, keyRows.journal, keys.journal),
    secrets: await firstValue(tx, keyRows.secrets, keys.secrets),
  }))
  for (const name of ['journal', 'secrets'] as const) {
    if (present[name] === keys[name]) continue
    throw new CideryError('CONFLICT', `keys/${name}.key of this state directory is not the one of the other controllers of this database`, {
      hint: "copy keys/ and tls/ from another controller's state directory, or from a backup, before the first start (docs/guide/two-controllers.md)",
      details: { [name]: keys[name], fleet: present[name] },
    })
  }
}

/** The value of a row that never changes once it is there. */
async function firstValue(tx: Writer, key: string, value: string): Promise<string> {
  const row = await tx.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst()
  if (row !== undefined) return row.value
  await tx.insertInto('meta').values({ key, value }).execute()
  return value
}

export interface MarkedBlobs {
  readonly store: Store
  readonly blobs: Blobs
}

const markRow = 'blob_mark'
/** How old a mark may be that a copy of the folder could hold. */
export const markEvery: Milliseconds = 30 * second
/** A network file system may show what another machine wrote a little later. */
const patience: Milliseconds = 15 * second
const lookAgain: Milliseconds = second / 2

function markName(mark: string): string {
  return `marks/${mark}`
}

/**
 * Puts a new mark, a name that never was one, into the blob store and its name into the database: whoever finds it through a blob store of their own has the same one. Renewed
 * by the leader, so that a copy of the folder soon lacks it.
 */
export async function renewBlobMark(
  { store, blobs }: MarkedBlobs,
  { mark, guard }: { readonly mark: string; readonly guard: (tx: Writer) => Promise<unknown> },
): Promise<void> {
  await blobs.append(markName(mark), 0, Buffer.from(mark))
  await store.write(async (tx) => {
    await guard(tx)
    await tx
      .insertInto('meta')
      .values({ key: markRow, value: mark })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: mark }))
      .execute()
  })
  for await (const { name } of blobs.list('marks/')) if (name !== markName(mark)) await blobs.remove(name)
}

/** Throws CONFLICT when the blobs of this controller are not those of the database's other controllers. */
export async function requireSameBlobs({ store, blobs }: MarkedBlobs, timers: Timers): Promise<void> {
  for (let waited = 0; ; waited += lookAgain) {
    const row = await store.read((db) => db.selectFrom('meta').select('value').where('key', '=', markRow).executeTakeFirst())
    if (row === undefined || (await blobs.length(markName(row.value))) > 0) return
    if (waited >= patience) break
    await timers.sleep(lookAgain)
  }
  throw new CideryError(
    'CONFLICT',
    'the blobs of this controller are not those of the other controllers: a mark that one of them wrote is not here',
    {
      hint: 'mount one shared folder on every controller and name it with --blobs; logs and artifacts would be lost in two places otherwise (docs/guide/two-controllers.md)',
    },
  )
}
