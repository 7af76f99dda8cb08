import type { Host } from '../model/host.ts'
import type { EngineName } from '../model/job.ts'
import type { Labels } from '../model/shape.ts'
import { PoolEngine, type Pool, type Queue, type Spec } from '../model/spec.ts'
import { compareText } from './sorted-map.ts'

/** Settings of an engine that a pool does not name. */
const plainEngine: PoolEngine = PoolEngine.parse({})

/**
 * How a pool lets its hosts use an engine. A pool that names no engine offers every engine its hosts have, with the defaults;
 * one that names some offers only those. Undefined: not offered.
 */
export function poolEngine(pool: Pool, engine: EngineName): PoolEngine | undefined {
  return Object.keys(pool.engines).length === 0 ? plainEngine : pool.engines[engine]
}

/**
 * The pool whose policy a host follows: the first by name whose `hosts` names it or matches it, else the one it enrolled with.
 * The name may be of no pool of the spec: such a host runs nothing.
 *
 * @example poolNameOf(spec, { name: 'mini-7', pool: 'default' }) // 'minis' when pools.minis.hosts has mini-*
 */
export function poolNameOf(spec: Spec, host: Pick<Host, 'name' | 'pool'>): string {
  for (const { name, patterns } of patternsOf(spec)) if (patterns.some((pattern) => pattern.test(host.name))) return name
  return host.pool
}

export function poolOf(spec: Spec, host: Pick<Host, 'name' | 'pool'>): Pool | undefined {
  return spec.pools[poolNameOf(spec, host)]
}

/** Names of the pools that serve a queue. */
export function poolsOfQueue(spec: Spec, queue: Queue): readonly string[] {
  return queue.pools.length > 0 ? queue.pools : Object.keys(spec.pools).sort(compareText)
}

/**
 * Labels that a job's selector is matched with: those every host has (`host`, `pool`, `os`, `arch`), those of its pool, and its own;
 * the later win.
 */
export function labelsOf(spec: Spec, host: Host): Labels {
  const pool = poolNameOf(spec, host)
  const facts = host.facts === null ? {} : { os: host.facts.os, arch: host.facts.arch }
  return { host: host.name, pool, ...facts, ...spec.pools[pool]?.labels, ...host.labels }
}

interface PoolPatterns {
  readonly name: string
  readonly patterns: readonly RegExp[]
}

/** Compiled once per spec; a spec is immutable, so that the answer never changes. */
const compiled = new WeakMap<Spec, readonly PoolPatterns[]>()

function patternsOf(spec: Spec): readonly PoolPatterns[] {
  const known = compiled.get(spec)
  if (known !== undefined) return known
  const names = Object.keys(spec.pools).sort(compareText)
  const made = names.map((name) => ({ name, patterns: (spec.pools[name]?.hosts ?? []).map(globPattern) }))
  compiled.set(spec, made)
  return made
}

/**
 * A pattern for names: `*` stands for any characters, `?` for one, all else for itself.
 *
 * @example globPattern('mini-*').test('mini-7') // true
 */
export function globPattern(glob: string): RegExp {
  const escaped = glob.replaceAll(/[\\^$.|+()[\]{}]/g, String.raw`\$&`)
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}
