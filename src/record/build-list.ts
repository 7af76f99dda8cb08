import { CideryError } from '../model/errors.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { Reader } from '../ports/store.ts'
import { buildOf, type BuildRow } from './image-rows.ts'

async function findBuildRow(db: Reader, id: string): Promise<BuildRow | undefined> {
  return db.selectFrom('builds').selectAll().where('id', '=', id).executeTakeFirst()
}

export async function findBuild(db: Reader, id: string): Promise<ImageBuild | null> {
  const row = await findBuildRow(db, id)
  return row === undefined ? null : buildOf(row)
}

/** A build by id or name. NOT_FOUND when there is none. */
export async function readBuild(db: Reader, idOrName: string): Promise<ImageBuild> {
  const row = await db
    .selectFrom('builds')
    .selectAll()
    .where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]))
    .orderBy('id', 'desc')
    .executeTakeFirst()
  if (row === undefined) throw new CideryError('NOT_FOUND', `no build has the name or id ${idOrName}`, { hint: 'cidery image builds' })
  return buildOf(row)
}

/** Builds of an image, newest first. */
export async function buildsOfImage(db: Reader, image: string, limit: number): Promise<readonly ImageBuild[]> {
  const rows = await db
    .selectFrom('builds')
    .selectAll()
    .where('image', '=', image)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(buildOf)
}

/** The build that jobs get, by image. */
export async function promotedBuilds(db: Reader): Promise<ReadonlyMap<string, string>> {
  const rows = await db.selectFrom('builds').select(['image', 'id']).where('state', '=', 'promoted').orderBy('image').execute()
  return new Map(rows.map(({ image, id }) => [image, id]))
}

/** Builds that a host is at. */
export async function buildsUnderWayOn(db: Reader, hostId: string): Promise<readonly ImageBuild[]> {
  const rows = await db
    .selectFrom('builds')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('state', '=', 'building')
    .orderBy('id')
    .execute()
  return rows.map(buildOf)
}
