import { setTimeout as sleep } from 'node:timers/promises'
import { mulberry32 } from '../job-stream.ts'
import { faults, type FaultKind, type FleetFault, type HostFault } from './faults.ts'
import type { LiveFleet } from './live-fleet.ts'
import type { LiveHost } from './live-host.ts'

/** One fault of a story, drawn before anything happens. */
interface Scene {
  readonly kind: FaultKind
  /** Which host, when it is on one. */
  readonly host: number
  readonly seed: number
  readonly afterMs: number
}

/** What the seed of a round makes of it: every kind in turn, in an order by chance, until there are enough. */
function draw(seed: number, options: { readonly count: number; readonly hosts: number }): readonly Scene[] {
  const random = mulberry32(seed)
  const bag: FaultKind[] = []
  const scenes: Scene[] = []
  while (scenes.length < options.count) {
    if (bag.length === 0) bag.push(...(Object.keys(faults) as FaultKind[]))
    const [kind] = bag.splice(Math.floor(random() * bag.length), 1)
    if (kind === undefined) break
    const host = Math.floor(random() * options.hosts)
    scenes.push({ kind, host, seed: Math.floor(random() * 2 ** 31), afterMs: 500 + random() * 4000 })
  }
  return scenes
}

export interface Played {
  readonly counts: ReadonlyMap<FaultKind, number>
  readonly problems: readonly string[]
}

/**
 * Plays the story of a seed. What strikes one host goes on beside the next scenes, so that several hosts suffer at once; a host suffers one thing at
 * a time, and what strikes the whole fleet is waited for.
 */
export async function playStory(fleet: LiveFleet, options: { readonly seed: number; readonly count: number }): Promise<Played> {
  const counts = new Map<FaultKind, number>()
  const problems: string[] = []
  const suffering = new Map<LiveHost, Promise<void>>()
  const startedAt = performance.now()

  async function strike({ kind, seed }: Scene, host: LiveHost): Promise<void> {
    const fault: HostFault | FleetFault = faults[kind]
    const at = `${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${kind}${fault.on === 'host' ? ` at ${host.name}` : ''}`
    const chance = { fleet, random: mulberry32(seed) }
    try {
      const about = fault.on === 'host' ? await fault.strike(host, chance) : await fault.strike(chance)
      console.log(`${at}: ${about}`)
    } catch (error) {
      problems.push(`${kind}: ${error instanceof Error ? error.message : String(error)}`)
      console.log(`${at}: ${String(error)}`)
    }
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }

  for (const scene of draw(options.seed, { count: options.count, hosts: fleet.hosts.length })) {
    const host = fleet.hosts[scene.host]
    if (host === undefined) continue
    await sleep(scene.afterMs)
    if (faults[scene.kind].on === 'fleet') {
      await strike(scene, host)
      continue
    }
    await suffering.get(host)
    suffering.set(host, strike(scene, host))
  }
  await Promise.all(suffering.values())
  return { counts, problems }
}
