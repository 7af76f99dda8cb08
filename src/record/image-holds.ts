import type { BuildId, HostId } from '../model/id.ts'
import type { HostImages, ImageHold, ImageOnHost } from '../model/image/line.ts'
import type { Step } from '../model/plan.ts'
import type { Reader } from '../ports/store.ts'
import { findBuild } from './build-list.ts'
import { chunks } from './chunks.ts'
import type { Applied, RecordTx } from './commit.ts'
import { findHostRow } from './hosts.ts'
import { holdOf, holdRow, imageHostRow, imageOnHostOf } from './image-rows.ts'

/** What hosts have to do with images, by host; all hosts, or some. Hosts without anything are left out. */
export async function imagesOfHosts(db: Reader, hostIds: readonly string[] | null): Promise<ReadonlyMap<string, HostImages>> {
  const found = new Map<string, { holds: ImageHold[]; states: ImageOnHost[] }>()
  const of = (hostId: string) => {
    const known = found.get(hostId) ?? { holds: [], states: [] }
    found.set(hostId, known)
    return known
  }
  for (const part of hostIds === null ? [null] : chunks(hostIds, 500)) {
    let holds = db.selectFrom('image_holds').selectAll()
    let states = db.selectFrom('image_hosts').selectAll()
    if (part !== null) {
      holds = holds.where('host_id', 'in', part)
      states = states.where('host_id', 'in', part)
    }
    for (const row of await holds.orderBy('host_id').orderBy('build_id').execute()) of(row.host_id).holds.push(holdOf(row))
    for (const row of await states.orderBy('host_id').orderBy('image').execute()) of(row.host_id).states.push(imageOnHostOf(row))
  }
  return found
}

type HoldStep = Omit<Extract<Step, { kind: 'holdBuild' }>, 'kind'>

async function findHold(db: Reader, hostId: string, buildId: string): Promise<ImageHold | null> {
  const row = await db
    .selectFrom('image_holds')
    .selectAll()
    .where('host_id', '=', hostId)
    .where('build_id', '=', buildId)
    .executeTakeFirst()
  return row === undefined ? null : holdOf(row)
}

/** Has a host bring a build, or keep the one that it has. */
export async function holdBuild(tx: RecordTx, step: HoldStep): Promise<Applied> {
  const known = await findHold(tx.db, step.hostId, step.buildId)
  if ((known?.since ?? null) !== step.before) return 'stale'
  const build = await findBuild(tx.db, step.buildId)
  const host = await findHostRow(tx.db, step.hostId)
  if (build === null || build.state === 'failed' || build.state === 'building' || host === undefined || host.state === 'retired')
    return 'stale'
  await putHold(tx, {
    hostId: step.hostId as HostId,
    buildId: build.id,
    image: step.image,
    fetch: step.fetch,
    bandwidth: step.bandwidth,
    // Each change is told apart from the one before, also within a millisecond.
    since: Math.max(tx.now, (known?.since ?? 0) + 1),
    tries: step.tries,
  })
  return 'done'
}

export async function putHold(tx: RecordTx, hold: ImageHold): Promise<void> {
  const row = holdRow(hold)
  await tx.db
    .insertInto('image_holds')
    .values(row)
    .onConflict((conflict) => conflict.columns(['host_id', 'build_id']).doUpdateSet({ fetch: row.fetch, doc: row.doc }))
    .execute()
  tx.touch('hostImages', hold.hostId)
  tx.desire(hold.hostId)
}

/** A host need not have a build any longer. */
export async function dropHold(
  tx: RecordTx,
  step: { readonly hostId: string; readonly buildId: string; readonly before: number },
): Promise<Applied> {
  if ((await findHold(tx.db, step.hostId, step.buildId))?.since !== step.before) return 'stale'
  await tx.db.deleteFrom('image_holds').where('host_id', '=', step.hostId).where('build_id', '=', step.buildId).execute()
  tx.touch('hostImages', step.hostId)
  tx.desire(step.hostId)
  return 'done'
}

/** Hosts that are to have a build. */
export async function hostsHolding(db: Reader, buildId: BuildId): Promise<readonly string[]> {
  const rows = await db.selectFrom('image_holds').select('host_id').where('build_id', '=', buildId).orderBy('host_id').execute()
  return rows.map(({ host_id: hostId }) => hostId)
}

export async function readImageOnHost(db: Reader, hostId: HostId, image: string): Promise<ImageOnHost> {
  const row = await db.selectFrom('image_hosts').selectAll().where('host_id', '=', hostId).where('image', '=', image).executeTakeFirst()
  return row === undefined ? { hostId, image, forced: null, readyBuild: null, readySince: null } : imageOnHostOf(row)
}

export async function putImageOnHost(tx: RecordTx, state: ImageOnHost): Promise<void> {
  const row = imageHostRow(state)
  await tx.db
    .insertInto('image_hosts')
    .values(row)
    .onConflict((conflict) => conflict.columns(['host_id', 'image']).doUpdateSet({ doc: row.doc }))
    .execute()
  tx.touch('hostImages', state.hostId)
}
