import type { ImageBuild } from '../../model/image/build.ts'
import type { EngineName } from '../../model/job.ts'
import type { Image, Pool, Spec } from '../../model/spec.ts'
import type { World } from '../../model/world.ts'
import { managedLines, type ManagedLine } from './managed.ts'

/** What jobs of a managed line get. */
export interface ServedLine {
  readonly name: string
  readonly engine: EngineName
  readonly promoted: string | null
  /** Build that some jobs get instead. */
  readonly canary: ServedCanary | null
}

export interface ServedCanary {
  readonly build: string
  /** Part of the jobs that get it; null: all jobs on some hosts. */
  readonly share: number | null
  /** Names of those hosts. */
  readonly hosts: ReadonlySet<string>
}

/** What all managed lines serve; `key` is equal when they serve the same. */
export interface Serving {
  readonly key: string
  readonly lines: readonly ServedLine[]
}

export const nothingServed: Serving = { key: '', lines: [] }

interface Remembered {
  readonly spec: Spec
  readonly builds: World['builds']
  readonly serving: Serving
}

/** The lines of a world are immutable, so that what they serve is worked out once. */
const remembered = new WeakMap<World['images'], Remembered>()

export function servingOf(spec: Spec, world: Pick<World, 'images' | 'builds'>): Serving {
  if (managedLines(spec).length === 0) return nothingServed
  const known = remembered.get(world.images)
  if (known !== undefined && known.spec === spec && known.builds === world.builds) return known.serving
  const serving = makeServing(spec, world)
  remembered.set(world.images, { spec, builds: world.builds, serving })
  return serving
}

function makeServing(spec: Spec, world: Pick<World, 'images' | 'builds'>): Serving {
  const lines = managedLines(spec).map((managed) => servedLine(managed, world))
  const key = lines.map(({ name, promoted, canary }) => `${name}:${promoted ?? ''}:${canaryKey(canary)}`).join(';')
  return { key, lines }
}

function servedLine({ name, policy }: ManagedLine, { images, builds }: Pick<World, 'images' | 'builds'>): ServedLine {
  const line = images.get(name)
  const promoted = builds.get(line?.promoted ?? '')
  const isFit = promoted !== undefined && (policy.required === undefined || promoted.recipeVersion === policy.required)
  const canary = servedCanary(policy, builds.get(line?.canary?.buildId ?? ''))
  return { name, engine: policy.engine, promoted: isFit ? promoted.id : null, canary }
}

function servedCanary({ canary }: Image, trial: ImageBuild | undefined): ServedCanary | null {
  if (canary === undefined || trial?.state !== 'validated') return null
  return { build: trial.id, share: canary.share ?? null, hosts: new Set(canary.hosts) }
}

function canaryKey(canary: ServedCanary | null): string {
  return canary === null ? '' : `${canary.build},${canary.share ?? ''},${[...canary.hosts].join('+')}`
}

/** What jobs get on a host when nothing is said of the share of a canary. */
export function servedOn({ promoted, canary }: ServedLine, hostName: string): string | null {
  return canary !== null && canary.hosts.has(hostName) ? canary.build : promoted
}

/** The name under which a canary's build stands beside its line where placement looks for images: no image has such a name. */
export function canaryAlias(image: string): string {
  return `${image}@canary`
}

/** Whether hosts of a pool look after a line. */
export function looksAfter(pool: Pick<Pool, 'images'> | undefined, image: string): boolean {
  return pool !== undefined && (pool.images === undefined || pool.images.includes(image))
}
