import type { Host } from '../model/host.ts'
import type { DesiredBuild, DesiredHold, DesiredImages, ImageBuild } from '../model/image/build.ts'
import type { Reader } from '../ports/store.ts'
import { buildsUnderWayOn, findBuild } from './build-list.ts'
import { imagesOfHosts } from './image-holds.ts'
import { findRecipe } from './image-recipes.ts'
import { recipeDocOf } from './image-rows.ts'

/** What a host shall have of images and do for them. Builds that its present boot did not begin are left out: they are over. */
export async function readDesiredImages(db: Reader, host: Host, retention: DesiredImages['retention']): Promise<DesiredImages> {
  const builds: DesiredBuild[] = []
  for (const build of await buildsUnderWayOn(db, host.id)) {
    if (build.origin.kind !== 'built' || build.origin.hostBootId !== host.bootId) continue
    const desired = await desiredBuild(db, build)
    if (desired !== null) builds.push(desired)
  }
  const holds: DesiredHold[] = []
  for (const { buildId, image, fetch, bandwidth } of (await imagesOfHosts(db, [host.id])).get(host.id)?.holds ?? []) {
    const build = await findBuild(db, buildId)
    if (build === null) continue
    holds.push({ build: buildId, image, engine: build.engine, reference: build.reference, fetch, bandwidth })
  }
  return { builds, holds, retention }
}

/** Null when its recipe is not there: its time runs out then, which must not keep the host from all else. */
async function desiredBuild(db: Reader, build: ImageBuild): Promise<DesiredBuild | null> {
  const row = await findRecipe(db, build.image, build.recipeGeneration ?? 0)
  const doc = row === null ? null : recipeDocOf(row)
  if (row === null || doc === null || doc.identity === null) return null
  return {
    id: build.id,
    generation: 1,
    want: build.cancelRequested === null ? 'build' : 'cancel',
    cancelBy: build.cancelRequested?.by ?? null,
    name: build.name,
    recipe: { ...doc.recipe, timeouts: { ...doc.recipe.timeouts, build: build.timeoutMs } },
    identity: doc.identity,
    files: row.files,
    lock: doc.lock,
    baseBuild: build.baseBuild,
    productVersion: doc.productVersion,
    fromBase: build.fromBase,
    pushTo: build.pushTo,
  }
}
