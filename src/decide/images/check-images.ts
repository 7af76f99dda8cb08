import type { Host } from '../../model/host.ts'
import type { EngineName } from '../../model/job.ts'
import type { Step } from '../../model/plan.ts'
import { judgeReadiness } from '../../model/readiness.ts'
import type { Pool } from '../../model/spec.ts'
import { skewOf } from '../host-view.ts'
import type { Scene } from '../scene.ts'

/** What is under way of images, with what the plan has added so far. */
export interface ImageLedger {
  /** Lines with a build. */
  readonly building: Set<string>
  /** Hosts that fetch a build of a line, and how fast together. */
  readonly fetching: Map<string, { hosts: number; bandwidth: number }>
}

export function createImageLedger({ world }: Scene): ImageLedger {
  const ledger: ImageLedger = { building: new Set(), fetching: new Map() }
  for (const { image, state } of world.builds.values()) if (state === 'building') ledger.building.add(image)
  for (const [hostId, { holds }] of world.hostImages) {
    for (const { image, buildId, fetch, bandwidth } of holds) {
      if (fetch && !hasBuild(world.hosts.get(hostId), buildId)) countFetch(ledger, image, bandwidth)
    }
  }
  return ledger
}

export function countFetch(
  ledger: ImageLedger,
  image: string,
  bandwidth: number | null,
): { readonly hosts: number; readonly bandwidth: number } {
  const known = ledger.fetching.get(image) ?? { hosts: 0, bandwidth: 0 }
  known.hosts += 1
  known.bandwidth += bandwidth ?? 0
  ledger.fetching.set(image, known)
  return known
}

export function hasBuild(host: Host | undefined, build: string): boolean {
  return host?.facts?.storedImages?.some(({ id, problems }) => id === build && problems.length === 0) === true
}

interface Proof {
  readonly host: Host
  readonly pool: Pool
  readonly engine: EngineName
  readonly image: string | null
}

/** What is wrong with the proofs that a host has of an image; null: it is proved ready. */
export function proofProblem({ host, pool, engine, image }: Proof, { now }: Pick<Scene, 'now'>): string | null {
  const readiness = host.facts?.readiness.find((entry) => entry.engine === engine && entry.image === image)
  const verdict = judgeReadiness(readiness, pool.readiness, now + skewOf(host))
  return verdict.state === 'ready' ? null : `the host is not proved ready: ${verdict.reason}`
}

export function forcedOn(host: Host, image: string, { world, now }: Scene): 'ready' | 'notReady' | null {
  const forced = world.hostImages.get(host.id)?.states.find((state) => state.image === image)?.forced ?? null
  if (forced === null || (forced.expiresAt !== null && now >= forced.expiresAt)) return null
  return forced.ready ? 'ready' : 'notReady'
}

type Assign = Extract<Step, { kind: 'assign' }>

/** A job of a managed line boots the promoted build or the canary's, where it is, and proved ready there or forced so. */
export function checkServed(
  image: string,
  { step: { buildId }, host, pool }: { readonly step: Assign; readonly host: Host; readonly pool: Pool },
  scene: Scene,
): string | null {
  if (buildId === undefined) return `the step names no build of ${image}`
  if (!isServed(image, buildId, scene)) return `build ${buildId} of ${image} is neither promoted nor a canary`
  if (pool.images !== undefined && !pool.images.includes(image)) return `the host does not look after ${image}`
  return readyProblem({ host, pool, image, build: buildId }, scene)
}

/** Whether jobs of a line get a build. */
export function isServed(image: string, build: string, { world }: Scene): boolean {
  const line = world.images.get(image)
  return build === line?.promoted || build === line?.canary?.buildId
}

interface ReadyQuestion {
  readonly host: Host
  readonly pool: Pool | undefined
  readonly image: string
  readonly build: string
}

/** Why a build of a line is not ready on a host; null: it is, by its proofs or because a person says so. */
export function readyProblem({ host, pool, image, build }: ReadyQuestion, scene: Scene): string | null {
  const engine = scene.spec.images[image]?.engine
  if (engine === undefined || pool === undefined || !hasBuild(host, build)) return `build ${build} of ${image} is not on the host`
  const forced = forcedOn(host, image, scene)
  if (forced === 'notReady') return `${image} is forced not ready on the host`
  return forced === 'ready' ? null : proofProblem({ host, pool, engine, image: build }, scene)
}
