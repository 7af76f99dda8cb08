import { CideryError } from '../model/errors.ts'
import type { BuildId, HostId } from '../model/id.ts'
import { buildCan, buildTransitions, type BuildReport, type BuildState, type DesiredBuild, type ImageBuild } from '../model/image/build.ts'
import type { Instant, Milliseconds } from '../model/instant.ts'
import type { BuildAcknowledgement } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow } from './hosts.ts'
import { putHold } from './image-holds.ts'
import { readLine, saveLine } from './image-lines.ts'
import { findRecipe } from './image-recipes.ts'
import { buildOf, buildRow, recipeDocOf, type BuildRow } from './image-rows.ts'
import { hostOf } from './rows.ts'

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

/** Writes a build back unless somebody changed it since; a generation that is given stays as it is. */
async function saveBuild(tx: RecordTx, before: ImageBuild, change: Partial<ImageBuild>): Promise<ImageBuild | null> {
  const after: ImageBuild = { ...before, ...change, generation: change.generation ?? before.generation + 1 }
  const { id: _id, ...row } = buildRow(after)
  const done = await tx.db
    .updateTable('builds')
    .set(row)
    .where('id', '=', before.id)
    .where('generation', '=', before.generation)
    .executeTakeFirst()
  if (done.numUpdatedRows === 0n) return null
  tx.touch('build', before.id)
  return after
}

/** Moves a build along its table of states; another move is a bug and throws. STALE_GENERATION when it changed meanwhile. */
export async function moveBuild(
  tx: RecordTx,
  build: ImageBuild,
  to: { readonly state: BuildState; readonly reason: string; readonly change?: Partial<ImageBuild> },
): Promise<ImageBuild> {
  const allowed: readonly BuildState[] = buildTransitions[build.state]
  if (!allowed.includes(to.state))
    throw new CideryError('INTERNAL', `a build cannot go from ${build.state} to ${to.state}`, { details: { build: build.id } })
  const moved = await saveBuild(tx, build, { ...to.change, state: to.state, reason: to.reason })
  if (moved !== null) return moved
  throw new CideryError('STALE_GENERATION', `the build ${build.name} changed since it was read`, {
    hint: `cidery image show ${build.image}`,
  })
}

/** Whether a build is in a state that allows an action of a person; CONFLICT says which are. */
export function requireBuildCan(build: ImageBuild, action: keyof typeof buildCan): void {
  const states: readonly BuildState[] = buildCan[action]
  if (states.includes(build.state)) return
  throw new CideryError('CONFLICT', `the build ${build.name} is ${build.state}: ${action} is for builds that are ${states.join(' or ')}`, {
    hint: `cidery image show ${build.image}`,
    details: { state: build.state, allowed: states },
  })
}

export interface BuildStart {
  readonly id: BuildId
  readonly image: string
  readonly lineGeneration: number
  readonly recipeGeneration: number
  readonly hostId: string
  readonly hostGeneration: number
  readonly fromBase: boolean
  /** The due moment of the schedule that it answers to. */
  readonly dueAt: Instant | null
  readonly why: string
  /** Unique name and tags, by the policy of the line. */
  readonly naming: (recipe: {
    readonly version: string
    readonly release: string
    readonly arch: string
    readonly product: string | null
  }) => {
    readonly name: string
    readonly pushTo: DesiredBuild['pushTo']
  }
  /** What the policy of the line says of how long it may take; null: what the recipe says. */
  readonly timeoutMs: Milliseconds | null
}

/** Gives a build to a host. The database refuses a second one of the same image. */
export async function startBuild(tx: RecordTx, start: BuildStart): Promise<Applied> {
  const line = await readLine(tx.db, start.image)
  const recipe = await findRecipe(tx.db, start.image, start.recipeGeneration)
  const host = await openHost(tx, start)
  if (line.generation !== start.lineGeneration || line.recipe?.generation !== start.recipeGeneration) return 'stale'
  if (recipe === null || host === null || (await findUnderWay(tx.db, start.image))) return 'stale'
  const { recipe: made, productVersion } = recipeDocOf(recipe)
  const arch = made.engine === 'tart' ? 'arm64' : 'x64'
  const named = start.naming({ version: made.version, release: made.guest.release, arch, product: productVersion })
  const isTaken = (await tx.db.selectFrom('builds').select('id').where('name', '=', named.name).executeTakeFirst()) !== undefined
  const name = isTaken ? `${named.name}-${start.id.slice(-6)}` : named.name
  const base = made.base.kind === 'image' ? (await readLine(tx.db, made.base.image)).promoted : null
  const requestedBy = line.asked?.by ?? 'cidery'
  const build: ImageBuild = {
    id: start.id,
    image: start.image,
    name,
    engine: made.engine,
    state: 'building',
    reason: 'Building VM image',
    origin: { kind: 'built', hostId: host.id, hostBootId: host.bootId },
    recipeGeneration: start.recipeGeneration,
    fromBase: start.fromBase,
    baseBuild: base,
    pushTo: named.pushTo === null ? null : { ...named.pushTo, tags: [name, ...named.pushTo.tags] },
    timeoutMs: start.timeoutMs ?? made.timeouts.build,
    cancelRequested: null,
    pinnedBy: null,
    identity: recipe.identity,
    recipeVersion: made.version,
    reference: null,
    metadata: null,
    sizeBytes: null,
    phases: [],
    flakiness: null,
    requestedBy,
    createdAt: tx.now,
    endedAt: null,
    promotedAt: null,
    generation: 1,
    revision: -1,
    logBytes: 0,
    pushSkipped: '',
  }
  await tx.db.insertInto('builds').values(buildRow(build)).execute()
  await saveLine(tx, line, { asked: null, ...(start.dueAt === null ? {} : { scheduledAt: start.dueAt }) })
  tx.touch('build', build.id)
  tx.desire(host.id)
  tx.note('image.build.started', `image/${start.image}`, {
    data: { build: build.id, name, host: host.name, why: start.why, requestedBy, identity: build.identity },
  })
  return 'done'
}

async function openHost(tx: RecordTx, start: BuildStart): Promise<{ id: HostId; name: string; bootId: string } | null> {
  const row = await findHostRow(tx.db, start.hostId)
  if (row === undefined) return null
  const { id, name, state, schedulable, generation, bootId } = hostOf(row)
  const isOpen = state === 'up' && schedulable.kind === 'open' && generation === start.hostGeneration
  return isOpen && bootId !== null ? { id, name, bootId } : null
}

async function findUnderWay(db: Reader, image: string): Promise<boolean> {
  const row = await db.selectFrom('builds').select('id').where('image', '=', image).where('state', '=', 'building').executeTakeFirst()
  return row !== undefined
}

/** Takes in what a host says of a build. One that is not this host's, or is over here, is over: the host may forget it. */
export async function recordBuildReport(tx: RecordTx, hostId: string, report: BuildReport): Promise<BuildAcknowledgement> {
  const acknowledged = { id: report.id, revision: report.revision }
  const build = await findBuild(tx.db, report.id)
  const isOwn = build?.origin.kind === 'built' && build.origin.hostId === hostId
  if (build === null || !isOwn || build.state !== 'building') return { ...acknowledged, ended: true }
  if (report.revision <= build.revision) return { ...acknowledged, revision: build.revision, ended: false }
  const seen: Partial<ImageBuild> = { phases: report.phases, revision: report.revision, logBytes: report.logBytes }
  switch (report.state) {
    case 'waiting':
    case 'building': {
      const reason = report.reason === '' ? 'Building VM image' : report.reason
      // How far it is decides nothing: whoever decided by the generation is not to be disturbed.
      await saveBuild(tx, build, { ...seen, reason, generation: build.generation })
      return { ...acknowledged, ended: false }
    }
    case 'built':
      await takeBuilt(tx, { ...build, ...seen }, report)
      break
    case 'failed':
      await failBuild(tx, { ...build, ...seen }, { reason: report.reason, retry: report.retry ?? 'soon' })
  }
  tx.desire(hostId)
  return { ...acknowledged, ended: true }
}

async function takeBuilt(tx: RecordTx, build: ImageBuild, report: BuildReport): Promise<void> {
  const { metadata, sizeBytes, reference, flakiness, pushSkipped } = report
  const change = { metadata, sizeBytes, reference, flakiness, pushSkipped, endedAt: tx.now }
  const candidate = await moveBuild(tx, build, { state: 'candidate', reason: 'VM image built successfully', change })
  const data = { build: build.id, name: build.name, identity: build.identity, reference, pushSkipped, ms: tx.now - build.createdAt }
  tx.note('image.build.candidate', `image/${build.image}`, { data })
  const line = await readLine(tx.db, build.image)
  if (line.generation > 0 && line.failure !== null) await saveLine(tx, line, { failure: null })
  if (build.origin.kind === 'built')
    await putHold(tx, { ...build.origin, buildId: build.id, image: build.image, fetch: false, bandwidth: null, since: tx.now, tries: 0 })
  if (flakiness !== null && !flakiness.promoted) return
  await moveBuild(tx, candidate, { state: 'validated', reason: 'its checks passed' })
  tx.note('image.build.validated', `image/${build.image}`, { data: { build: build.id, name: build.name } })
}

async function failBuild(
  tx: RecordTx,
  build: ImageBuild,
  why: { readonly reason: string; readonly retry: 'soon' | 'never' },
): Promise<void> {
  await moveBuild(tx, build, { state: 'failed', reason: why.reason, change: { endedAt: tx.now } })
  const line = await readLine(tx.db, build.image)
  const hostId = build.origin.kind === 'built' ? build.origin.hostId : null
  const isSame = line.failure?.identity === build.identity
  const count = (isSame ? (line.failure?.count ?? 0) : 0) + 1
  // What a person ended is no failure of the build; it is not begun again by itself.
  const retry = build.cancelRequested === null ? why.retry : 'never'
  await saveLine(tx, line, { failure: { count, at: tx.now, reason: why.reason, identity: build.identity, hostId, retry } })
  tx.note('image.build.failed', `image/${build.image}`, {
    result: 'failed',
    data: { build: build.id, name: build.name, reason: why.reason, retry, failures: count },
  })
}

/** Ends a build whose host did not say so itself: it is proved gone, or took too long. */
export async function endBuild(
  tx: RecordTx,
  step: { readonly buildId: string; readonly generation: number; readonly reason: string },
): Promise<Applied> {
  const build = await findBuild(tx.db, step.buildId)
  if (build === null || build.state !== 'building' || build.generation !== step.generation) return 'stale'
  await failBuild(tx, build, { reason: step.reason, retry: 'soon' })
  if (build.origin.kind === 'built') tx.desire(build.origin.hostId)
  return 'done'
}

/** A person ends a build; its host says when it has. Asking again changes nothing. */
export async function cancelBuild(tx: RecordTx, idOrName: string): Promise<ImageBuild> {
  const build = await readBuild(tx.db, idOrName)
  requireBuildCan(build, 'cancel')
  if (build.cancelRequested !== null) return build
  const asked = await saveBuild(tx, build, { cancelRequested: { by: tx.author.actor, at: tx.now } })
  if (build.origin.kind === 'built') tx.desire(build.origin.hostId)
  tx.note('image.build.cancelRequested', `image/${build.image}`, { data: { build: build.id, name: build.name } })
  return asked ?? build
}

/** Keeps a build whatever its age, or no longer. */
export async function pinBuild(tx: RecordTx, idOrName: string, pinned: boolean): Promise<ImageBuild> {
  const build = await readBuild(tx.db, idOrName)
  requireBuildCan(build, 'pin')
  if ((build.pinnedBy !== null) === pinned) return build
  const saved = await saveBuild(tx, build, { pinnedBy: pinned ? tx.author.actor : null })
  tx.note('image.build.pinned', `image/${build.image}`, { data: { build: build.id, name: build.name, pinned } })
  return saved ?? build
}
