import { CideryError } from '../model/errors.ts'
import type { Store } from '../ports/store.ts'

/** Names the database that this state was copied to. */
export const movedKey = 'moved_to'

/** Throws CONFLICT when the fleet lives in another database now: two controllers that do not know of each other would lead the same hosts. */
export async function refuseMoved(store: Store): Promise<void> {
  const row = await store.read((db) => db.selectFrom('meta').select('value').where('key', '=', movedKey).executeTakeFirst())
  if (row === undefined) return
  throw new CideryError('CONFLICT', `this state was moved to ${row.value}`, {
    hint: 'start the controller there (CIDERY_STORE_URL_FILE); --store sqlite goes back to this state, without what happened there since',
    details: { movedTo: row.value },
  })
}

/** Somebody named this state in spite of that: it is the fleet's again. */
export async function forgetMoved(store: Store): Promise<void> {
  await store.write((tx) => tx.deleteFrom('meta').where('key', '=', movedKey).execute())
}
