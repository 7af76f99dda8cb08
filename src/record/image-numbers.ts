import type { Instant } from '../model/instant.ts'
import type { Reader } from '../ports/store.ts'
import { imagesOfHosts } from './image-holds.ts'
import { buildOf } from './image-rows.ts'

/** An image that jobs get. */
export interface CountedImage {
  readonly image: string
  /** When its promoted build was made. */
  readonly builtAt: Instant
  /** Hosts that were told of as ready with it. */
  readonly ready: number
}

/** Images with a promoted build, in order of name. */
export async function countImages(db: Reader): Promise<readonly CountedImage[]> {
  const rows = await db.selectFrom('builds').selectAll().where('state', '=', 'promoted').orderBy('image').execute()
  const states = [...(await imagesOfHosts(db, null)).values()].flatMap((images) => images.states)
  return rows.map(buildOf).map(({ id, image, metadata, endedAt, createdAt }) => ({
    image,
    builtAt: metadata?.builtAt ?? endedAt ?? createdAt,
    ready: states.filter((state) => state.image === image && state.readyBuild === id).length,
  }))
}
