import { CideryError } from '../model/errors.ts'
import type { BuildId, HostId } from '../model/id.ts'
import { buildCan, buildTransitions, type BuildReport, type BuildState, type DesiredBuild, type ImageBuild } from '../model/image/build.ts'
import type { ImageMetadata } from '../model/image/stored.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { Step } from '../model/plan.ts'
import type { BuildAcknowledgement } from '../model/sync.ts'
import type { Reader } from '../ports/store.ts'
import { findBuild, readBuild } from './build-list.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow } from './hosts.ts'
import { putHold } from './image-holds.ts'
import { readLine, saveLine } from './image-lines.ts'
import { findRecipe } from './image-recipes.ts'
import { buildRow, recipeDocOf, type RecipeRow } from './image-rows.ts'
import { requireState } from './require-state.ts'
import { hostOf } from './rows.ts'

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
  requireState({ kind: 'build', ...build }, { action, allowed: buildCan[action], hint: `cidery image show ${build.image}` })
}

type StartStep = Extract<Step, { kind: 'startBuild' }>

export interface BuildStart extends Omit<StartStep, 'kind'> {
  readonly id: BuildId
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
  const requestedBy = line.asked?.by ?? 'cidery'
  const build = await newBuild(tx, { start, recipe, host, requestedBy })
  await tx.db.insertInto('builds').values(buildRow(build)).execute()
  await saveLine(tx, line, { asked: null, ...(start.dueAt === null ? {} : { scheduledAt: start.dueAt }) })
  tx.touch('build', build.id)
  tx.desire(host.id)
  tx.note('image.build.started', `image/${start.image}`, {
    data: { build: build.id, name: build.name, host: host.name, why: start.why, requestedBy, identity: build.identity },
  })
  return 'done'
}

interface NewBuild {
  readonly start: BuildStart
  readonly recipe: RecipeRow
  readonly host: { readonly id: HostId; readonly bootId: string }
  readonly requestedBy: string
}

async function newBuild(tx: RecordTx, { start, recipe, host, requestedBy }: NewBuild): Promise<ImageBuild> {
  const { recipe: made, productVersion } = recipeDocOf(recipe)
  const arch = made.engine === 'tart' ? 'arm64' : 'x64'
  const named = start.naming({ version: made.version, release: made.guest.release, arch, product: productVersion })
  const isTaken = (await tx.db.selectFrom('builds').select('id').where('name', '=', named.name).executeTakeFirst()) !== undefined
  const name = isTaken ? `${named.name}-${start.id.slice(-6)}` : named.name
  const base = made.base.kind === 'image' ? (await readLine(tx.db, made.base.image)).promoted : null
  return {
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
  const { id, revision } = report
  const build = await findBuild(tx.db, id)
  if (build === null || !isUnderWayOn(build, hostId)) return { id, revision, ended: true }
  if (revision <= build.revision) return { id, revision: build.revision, ended: false }
  const seen: ImageBuild = { ...build, phases: report.phases, logBytes: report.logBytes, revision }
  if (report.state === 'waiting' || report.state === 'building') {
    const reason = report.reason === '' ? 'Building VM image' : report.reason
    // How far it is decides nothing: whoever decided by the generation is not to be disturbed.
    await saveBuild(tx, build, { ...seen, reason, generation: build.generation })
    return { id, revision, ended: false }
  }
  if (report.state === 'built') await takeBuilt(tx, seen, report)
  else await failBuild(tx, seen, { reason: report.reason, retry: report.retry ?? 'soon' })
  tx.desire(hostId)
  return { id, revision, ended: true }
}

function isUnderWayOn({ state, origin }: ImageBuild, hostId: string): boolean {
  return state === 'building' && origin.kind === 'built' && origin.hostId === hostId
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

export interface AdoptedBuild {
  readonly id: BuildId
  readonly image: string
  readonly engine: EngineName
  readonly name: string
  /** `host/path@sha256:…`. */
  readonly reference: string
  readonly metadata: ImageMetadata | null
  readonly sizeBytes: number | null
}

/** Takes a build that a registry has into a line: it is brought to hosts and promoted like one that was built here. CONFLICT when the line has it. */
export async function adoptBuild(tx: RecordTx, adopted: AdoptedBuild): Promise<ImageBuild> {
  const { metadata } = adopted
  const build: ImageBuild = {
    ...adopted,
    state: 'validated',
    reason: 'taken from a registry',
    origin: { kind: 'registry' },
    recipeGeneration: null,
    fromBase: false,
    baseBuild: null,
    pushTo: null,
    timeoutMs: 0,
    cancelRequested: null,
    pinnedBy: null,
    identity: null,
    recipeVersion: metadata?.recipe?.version ?? null,
    phases: [],
    flakiness: null,
    requestedBy: tx.author.actor,
    createdAt: tx.now,
    endedAt: tx.now,
    promotedAt: null,
    generation: 1,
    revision: -1,
    logBytes: 0,
    pushSkipped: '',
  }
  const taken = await tx.db.selectFrom('builds').select('id').where('name', '=', build.name).executeTakeFirst()
  if (taken !== undefined)
    throw new CideryError('CONFLICT', `the name ${build.name} is that of the build ${taken.id}`, {
      hint: `cidery image show ${build.image}`,
    })
  await tx.db.insertInto('builds').values(buildRow(build)).execute()
  tx.touch('build', build.id)
  const line = await readLine(tx.db, build.image)
  if (line.generation === 0) await saveLine(tx, line, {})
  tx.note('image.build.adopted', `image/${build.image}`, { data: { build: build.id, name: build.name, reference: build.reference } })
  return build
}
