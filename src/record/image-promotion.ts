import { CideryError } from '../model/errors.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { Arm, Canary, ImageLine } from '../model/image/line.ts'
import type { Outcome } from '../model/job.ts'
import type { Reader } from '../ports/store.ts'
import { findBuild, readBuild } from './build-list.ts'
import { moveBuild, requireBuildCan } from './builds.ts'
import type { Applied, RecordTx } from './commit.ts'
import { desireOfAllHosts } from './hosts.ts'
import { countInLine, readBareLine, readLine, saveLine } from './image-lines.ts'
import { renewDependents } from './image-recipes.ts'

export interface PromotionStep {
  readonly buildId: string
  readonly generation: number
  readonly image: string
  readonly lineGeneration: number
  readonly why: string
}

interface Found {
  readonly build: ImageBuild
  readonly line: ImageLine
}

async function findAsSeen(tx: RecordTx, step: PromotionStep): Promise<Found | null> {
  const build = await findBuild(tx.db, step.buildId)
  const line = await readLine(tx.db, step.image)
  return build === null || build.generation !== step.generation || line.generation !== step.lineGeneration ? null : { build, line }
}

/** Gives a build to all jobs of its line from now on. */
export async function promoteByStep(tx: RecordTx, step: PromotionStep): Promise<Applied> {
  const found = await findAsSeen(tx, step)
  if (found === null) return 'stale'
  await promote(tx, found, { why: step.why, rejected: found.line.rejected })
  return 'done'
}

interface Promotion {
  readonly why: string
  readonly rejected: readonly string[]
  /** A roll back has an event of its own, and what it leaves is not good. */
  readonly isRollBack?: boolean
}

/** The one place where a line gets another promoted build: the one before is retired, and kept as the last good one. */
async function promote(tx: RecordTx, { build, line }: Found, how: Promotion): Promise<ImageBuild> {
  const before = line.promoted === null ? null : await findBuild(tx.db, line.promoted)
  if (before !== null && before.id !== build.id && before.state === 'promoted')
    await moveBuild(tx, before, { state: 'retired', reason: `${build.name} was promoted` })
  const ready = build.state === 'candidate' ? await moveBuild(tx, build, { state: 'validated', reason: how.why }) : build
  const promoted = await moveBuild(tx, ready, { state: 'promoted', reason: how.why, change: { promotedAt: tx.now } })
  await saveLine(tx, line, {
    promoted: build.id,
    lastGood: how.isRollBack === true ? null : (before?.id ?? null),
    canary: null,
    rejected: how.rejected.filter((id) => id !== build.id).slice(-mostRejected),
  })
  await renewDependents(tx, line.name)
  await desireOfAllHosts(tx)
  if (how.isRollBack !== true)
    tx.note('image.promoted', `image/${line.name}`, {
      data: { build: build.id, name: build.name, reference: build.reference, was: before?.id ?? null, why: how.why },
    })
  return promoted
}

/** Enough to remember: older builds are removed long before. */
const mostRejected = 50

/** Some jobs get a build that the others do not get yet. */
export async function startCanary(tx: RecordTx, step: PromotionStep): Promise<Applied> {
  const found = await findAsSeen(tx, step)
  if (found === null || found.line.canary !== null || found.build.state !== 'validated') return 'stale'
  const none = { jobs: 0, failures: 0 }
  const canary: Canary = {
    buildId: found.build.id,
    startedAt: tx.now,
    assigned: { canary: 0, control: 0 },
    ended: { canary: none, control: none },
  }
  await saveLine(tx, found.line, { canary })
  tx.note('image.canaryStarted', `image/${step.image}`, { data: { build: found.build.id, name: found.build.name, why: step.why } })
  return 'done'
}

/** No further job gets the canary's build; those that have it finish. */
export async function rollBackCanary(tx: RecordTx, step: PromotionStep): Promise<Applied> {
  const found = await findAsSeen(tx, step)
  if (found === null || found.line.canary?.buildId !== found.build.id) return 'stale'
  await endCanary(tx, found, step.why)
  return 'done'
}

async function endCanary(tx: RecordTx, { build, line }: Found, why: string): Promise<ImageLine> {
  await moveBuild(tx, build, { state: 'retired', reason: why })
  const ended = await saveLine(tx, line, { canary: null, rejected: [...line.rejected, build.id].slice(-mostRejected) })
  const { assigned, ended: results } = line.canary ?? { assigned: null, ended: null }
  tx.note('image.rolledBack', `image/${line.name}`, {
    data: { build: build.id, name: build.name, to: line.promoted, why, assigned, results },
  })
  return ended
}

/** A person gives a build to all jobs of its line. What it displaces is not promoted again unless somebody says so. */
export async function promoteByHand(tx: RecordTx, image: string, idOrName: string): Promise<ImageBuild> {
  const build = await readBuild(tx.db, idOrName)
  if (build.image !== image)
    throw new CideryError('INVALID_INPUT', `the build ${build.name} is one of ${build.image}, not of ${image}`, {
      hint: `cidery image show ${image}`,
    })
  const line = await readLine(tx.db, image)
  if (line.promoted === build.id) return build
  requireBuildCan(build, 'promote')
  return promote(tx, { build, line }, { why: `promoted by ${tx.author.actor}`, rejected: await displacedBy(tx, { build, line }) })
}

/** Builds that would take the place of this one by themselves. */
async function displacedBy(tx: RecordTx, { build, line }: Found): Promise<readonly string[]> {
  const rows = await tx.db
    .selectFrom('builds')
    .select('id')
    .where('image', '=', line.name)
    .where('state', 'in', ['candidate', 'validated', 'promoted', 'retired'])
    .where('created_at', '>', build.createdAt)
    .orderBy('id')
    .execute()
  return [...new Set([...line.rejected, ...rows.map(({ id }) => id)])]
}

/** A person takes the last step back: a canary ends, else the last good build is promoted again. CONFLICT when there is neither. */
export async function rollBack(tx: RecordTx, image: string, reason: string): Promise<ImageLine> {
  const line = await readLine(tx.db, image)
  const why = `${tx.author.actor} rolled it back${reason === '' ? '' : `: ${reason}`}`
  const trial = line.canary === null ? null : await findBuild(tx.db, line.canary.buildId)
  if (trial !== null) return endCanary(tx, { build: trial, line }, why)
  const good = line.lastGood === null ? null : await findBuild(tx.db, line.lastGood)
  const bad = line.promoted
  if (good === null || bad === null || good.state !== 'retired') {
    throw new CideryError('CONFLICT', `the image ${image} has no earlier build to go back to`, { hint: `cidery image show ${image}` })
  }
  await promote(tx, { build: good, line }, { why, rejected: [...line.rejected, bad], isRollBack: true })
  tx.note('image.rolledBack', `image/${image}`, { data: { build: bad, to: good.id, name: good.name, why } })
  // Where the way back led from is nothing to go back to.
  return saveLine(tx, await readLine(tx.db, image), { lastGood: null })
}

/** Whether jobs get a build at this moment, all or some of them; a job that names none boots something else. */
export async function isServedNow(db: Reader, buildId: string | undefined): Promise<boolean> {
  if (buildId === undefined) return true
  const build = await findBuild(db, buildId)
  if (build === null || build.state === 'promoted') return build !== null
  return (await readBareLine(db, build.image)).canary?.buildId === buildId
}

function armOf(line: ImageLine, buildId: string): Arm | null {
  if (line.canary === null) return null
  if (buildId === line.canary.buildId) return 'canary'
  return buildId === line.promoted ? 'control' : null
}

/** A job was given a build: while a canary runs it counts for one of the two. */
export async function countAssigned(tx: RecordTx, image: string | null, buildId: string): Promise<void> {
  if (image === null) return
  const line = await readBareLine(tx.db, image)
  const arm = armOf(line, buildId)
  if (line.canary === null || arm === null) return
  const { assigned } = line.canary
  await countInLine(tx, line, { canary: { ...line.canary, assigned: { ...assigned, [arm]: assigned[arm] + 1 } } })
}

/** A job's attempt on a build ended; what was cancelled says nothing of the build. */
export async function countEnded(tx: RecordTx, buildId: string, outcome: Outcome): Promise<void> {
  if (outcome.kind === 'cancelled') return
  const build = await findBuild(tx.db, buildId)
  const line = build === null ? null : await readBareLine(tx.db, build.image)
  const arm = line === null ? null : armOf(line, buildId)
  if (line === null || line.canary === null || arm === null) return
  const { ended } = line.canary
  const { jobs, failures } = ended[arm]
  const after = { jobs: jobs + 1, failures: failures + (outcome.kind === 'infrastructure' ? 1 : 0) }
  await countInLine(tx, line, { canary: { ...line.canary, ended: { ...ended, [arm]: after } } })
}
