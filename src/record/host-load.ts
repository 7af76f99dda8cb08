import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'

/** How many attempts of each host have not ended; hosts without any are left out. */
export async function countLiveByHost(db: Reader, hostIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for (const part of chunks(hostIds, 500)) {
    const rows = await db
      .selectFrom('attempts')
      .select((eb) => ['host_id', eb.fn.countAll<number>().as('count')])
      .where('host_id', 'in', part)
      .where('ended_at', 'is', null)
      .groupBy('host_id')
      .orderBy('host_id')
      .execute()
    for (const row of rows) counts.set(row.host_id, row.count)
  }
  return counts
}
