import type { Pool } from '../../model/spec.ts'

/** Place of an image in the order in which a pool prefers images; those that it does not name come after all that it does. */
export function preferenceOf(pool: Pick<Pool, 'prefer'> | undefined, image: string | null): number {
  const prefer = pool?.prefer ?? []
  const place = image === null ? -1 : prefer.indexOf(image)
  return place < 0 ? prefer.length : place
}
