import type { RecordTx } from './commit.ts'

/** A host that left the fleet keeps nothing. */
export async function forgetImagesOf(tx: RecordTx, hostId: string): Promise<void> {
  const held = await tx.db.deleteFrom('image_holds').where('host_id', '=', hostId).executeTakeFirst()
  const told = await tx.db.deleteFrom('image_hosts').where('host_id', '=', hostId).executeTakeFirst()
  if (held.numDeletedRows + told.numDeletedRows > 0n) tx.touch('hostImages', hostId)
}
