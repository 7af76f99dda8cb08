import { CideryError } from '../model/errors.ts'
import type { HostId } from '../model/id.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { ForcedReadiness, ImageOnHost } from '../model/image/line.ts'
import type { Instant } from '../model/instant.ts'
import { findBuild, readBuild } from './build-list.ts'
import { requireBuildCan } from './builds.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow, readHost } from './hosts.ts'
import { hostsHolding, putImageOnHost, readImageOnHost } from './image-holds.ts'
import { readLine, saveLine } from './image-lines.ts'

export interface ReadyStep {
  readonly hostId: string
  readonly image: string
  /** The build that is ready there; null: none is any longer. */
  readonly build: string | null
  /** What was told of before. */
  readonly before: string | null
  readonly reason: string
}

/** Tells once that an image is ready on a host, or is so no longer. */
export async function noteReady(tx: RecordTx, step: ReadyStep): Promise<Applied> {
  const row = await findHostRow(tx.db, step.hostId)
  if (row === undefined || row.state === 'retired') return 'stale'
  const state = await readImageOnHost(tx.db, step.hostId as HostId, step.image)
  if (state.readyBuild !== step.before) return 'stale'
  await putImageOnHost(tx, { ...state, readyBuild: step.build, readySince: step.build === null ? null : tx.now })
  const build = step.build === null ? null : await findBuild(tx.db, step.build)
  const about = { host: row.name, build: step.build, name: build?.name ?? null, reference: build?.reference ?? null }
  tx.note(step.build === null ? 'image.notReady' : 'image.ready', `image/${step.image}`, { data: { ...about, reason: step.reason } })
  return 'done'
}

/** A person says whether an image is ready on a host, whatever was seen there, until it expires. */
export async function forceReadiness(
  tx: RecordTx,
  about: {
    readonly host: string
    readonly image: string
    readonly ready: boolean
    readonly reason: string
    readonly expiresAt: Instant | null
  },
): Promise<ImageOnHost> {
  const host = await readHost(tx.db, about.host)
  const { ready, reason, expiresAt } = about
  const forced: ForcedReadiness = { ready, by: tx.author.actor, at: tx.now, reason, expiresAt }
  const state = { ...(await readImageOnHost(tx.db, host.id, about.image)), forced }
  await putImageOnHost(tx, state)
  tx.note('image.forced', `image/${about.image}`, { data: { host: host.name, ready, reason, expiresAt } })
  return state
}

/** What was seen on the host counts again. Asking again changes nothing. */
export async function clearForced(
  tx: RecordTx,
  about: { readonly host: string; readonly image: string; readonly why: string },
): Promise<ImageOnHost> {
  const host = await readHost(tx.db, about.host)
  const state = await readImageOnHost(tx.db, host.id, about.image)
  if (state.forced === null) return state
  const cleared = { ...state, forced: null }
  await putImageOnHost(tx, cleared)
  tx.note('image.forceCleared', `image/${about.image}`, { data: { host: host.name, was: state.forced.ready, why: about.why } })
  return cleared
}

/** The end of a forced state came. */
export async function expireForced(tx: RecordTx, step: { readonly hostId: string; readonly image: string }): Promise<Applied> {
  const state = await readImageOnHost(tx.db, step.hostId as HostId, step.image)
  const expiresAt = state.forced?.expiresAt ?? null
  if (expiresAt === null || expiresAt > tx.now) return 'stale'
  await clearForced(tx, { host: step.hostId, image: step.image, why: 'it expired' })
  return 'done'
}

/** A person wants a line built anew, whether anything changed or not. */
export async function askForBuild(tx: RecordTx, image: string, fromBase: boolean): Promise<void> {
  const line = await readLine(tx.db, image)
  const before = line.asked
  const asked = { by: tx.author.actor, at: tx.now, fromBase: fromBase || before?.fromBase === true }
  await saveLine(tx, line, { asked, failure: null })
  tx.note('image.build.asked', `image/${image}`, { data: { fromBase } })
}

/** A scheduled build is left out, since it would give what is there. */
export async function skipBuild(
  tx: RecordTx,
  step: { readonly image: string; readonly lineGeneration: number; readonly dueAt: Instant; readonly why: string },
): Promise<Applied> {
  const line = await readLine(tx.db, step.image)
  if (line.generation !== step.lineGeneration) return 'stale'
  await saveLine(tx, line, { scheduledAt: step.dueAt })
  tx.note('image.build.skipped', `image/${step.image}`, { data: { dueAt: step.dueAt, why: step.why } })
  return 'done'
}

/** Forgets a build that jobs do not get, and has no host keep it. */
export async function removeBuildByStep(
  tx: RecordTx,
  step: { readonly buildId: string; readonly generation: number; readonly why: string },
): Promise<Applied> {
  const build = await findBuild(tx.db, step.buildId)
  if (build === null || build.generation !== step.generation || (await isProtected(tx, build))) return 'stale'
  await deleteBuild(tx, build, step.why)
  return 'done'
}

async function isProtected(tx: RecordTx, build: ImageBuild): Promise<boolean> {
  const { promoted, lastGood, canary } = await readLine(tx.db, build.image)
  return [promoted, lastGood, canary?.buildId].includes(build.id) || build.pinnedBy !== null || build.state === 'building'
}

async function deleteBuild(tx: RecordTx, build: ImageBuild, why: string): Promise<void> {
  for (const hostId of await hostsHolding(tx.db, build.id)) {
    tx.touch('hostImages', hostId)
    tx.desire(hostId)
  }
  await tx.db.deleteFrom('image_holds').where('build_id', '=', build.id).execute()
  await tx.db.deleteFrom('builds').where('id', '=', build.id).execute()
  tx.touch('build', build.id)
  tx.note('image.build.removed', `image/${build.image}`, { data: { build: build.id, name: build.name, state: build.state, why } })
}

/** A person removes a build. CONFLICT for one that jobs get, that they could go back to, or that is pinned. */
export async function removeBuild(tx: RecordTx, idOrName: string): Promise<ImageBuild> {
  const build = await readBuild(tx.db, idOrName)
  requireBuildCan(build, 'remove')
  if (await isProtected(tx, build)) {
    const why = build.pinnedBy === null ? 'jobs get it, or it is the one to go back to' : `it is pinned by ${build.pinnedBy}`
    throw new CideryError('CONFLICT', `the build ${build.name} is not removed: ${why}`, { hint: `cidery image show ${build.image}` })
  }
  await deleteBuild(tx, build, `removed by ${tx.author.actor}`)
  return build
}
