import type { Change } from '../model/world.ts'
import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import { imagesOfHosts } from './image-holds.ts'
import { readLines } from './image-lines.ts'
import { buildOf } from './image-rows.ts'
import { attemptOf, hostOf, jobOf, operationOf, sandboxOf } from './rows.ts'
import type { Subject } from './touched.ts'

/** Every row that deciding looks at, each kind in a total order: what a fresh leader starts from. */
export async function readAllChanges(db: Reader): Promise<readonly Change[]> {
  const busy = db.selectFrom('attempts').select('host_id').where('ended_at', 'is', null)
  // A retired host with attempts is read too: that it is retired proves that they are over.
  const hosts = await db
    .selectFrom('hosts')
    .selectAll()
    .where((eb) => eb.or([eb('state', '!=', 'retired'), eb('id', 'in', busy)]))
    .orderBy('id')
    .execute()
  const jobs = await db.selectFrom('jobs').selectAll().where('ended_at', 'is', null).orderBy('submitted_at').orderBy('id').execute()
  const attempts = await db.selectFrom('attempts').selectAll().where('ended_at', 'is', null).orderBy('id').execute()
  const operations = await db.selectFrom('operations').selectAll().where('ended_at', 'is', null).orderBy('id').execute()
  const sandboxes = await db.selectFrom('sandboxes').selectAll().where('state', '!=', 'gone').orderBy('id').execute()
  return [
    ...hosts.map((row): Change => ({ of: 'host', id: row.id, host: hostOf(row) })),
    ...jobs.map((row): Change => ({ of: 'job', id: row.id, job: jobOf(row) })),
    ...attempts.map((row): Change => ({ of: 'attempt', id: row.id, attempt: attemptOf(row) })),
    ...operations.map((row): Change => ({ of: 'operation', id: row.id, operation: operationOf(row) })),
    ...sandboxes.map((row): Change => ({ of: 'sandbox', id: row.id, sandbox: sandboxOf(row) })),
    ...(await allOfImages(db)),
  ]
}

async function allOfImages(db: Reader): Promise<readonly Change[]> {
  const builds = await db.selectFrom('builds').selectAll().where('state', '!=', 'failed').orderBy('id').execute()
  return [
    ...builds.map((row): Change => ({ of: 'build', id: row.id, build: buildOf(row) })),
    ...(await readLines(db, null)).map((line): Change => ({ of: 'image', id: line.name, line })),
    ...[...(await imagesOfHosts(db, null))].map(([id, images]): Change => ({ of: 'hostImages', id, images })),
  ]
}

/** The rows named, as they are now, in the order of kinds and ids; what is over or gone reads as null. Jobs come before their attempts. */
export async function readChanges(db: Reader, touched: ReadonlyMap<Subject, ReadonlySet<string>>): Promise<readonly Change[]> {
  const changes: Change[] = []
  for (const kind of ['host', 'job', 'attempt', 'operation', 'sandbox', 'build', 'image', 'hostImages'] as const) {
    const ids = [...(touched.get(kind) ?? [])].toSorted()
    for (const part of chunks(ids, 500)) changes.push(...(await readers[kind](db, part)))
  }
  return changes
}

const readers = {
  host: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('hosts').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'host', id, host: row === undefined ? null : hostOf(row) }
    })
  },
  job: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('jobs').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'job', id, job: row === undefined || row.ended_at !== null ? null : jobOf(row) }
    })
  },
  attempt: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('attempts').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'attempt', id, attempt: row === undefined || row.ended_at !== null ? null : attemptOf(row) }
    })
  },
  operation: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('operations').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'operation', id, operation: row === undefined || row.ended_at !== null ? null : operationOf(row) }
    })
  },
  sandbox: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('sandboxes').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'sandbox', id, sandbox: row === undefined || row.state === 'gone' ? null : sandboxOf(row) }
    })
  },
  build: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const rows = new Map(
      (await db.selectFrom('builds').selectAll().where('id', 'in', ids).orderBy('id').execute()).map((row) => [row.id, row]),
    )
    return ids.map((id) => {
      const row = rows.get(id)
      return { of: 'build', id, build: row === undefined ? null : buildOf(row) }
    })
  },
  image: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const lines = new Map((await readLines(db, ids)).map((line) => [line.name, line]))
    return ids.map((id) => ({ of: 'image', id, line: lines.get(id) ?? null }))
  },
  hostImages: async (db: Reader, ids: readonly string[]): Promise<readonly Change[]> => {
    const images = await imagesOfHosts(db, ids)
    return ids.map((id) => ({ of: 'hostImages', id, images: images.get(id) ?? null }))
  },
} satisfies Record<Subject, (db: Reader, ids: readonly string[]) => Promise<readonly Change[]>>
