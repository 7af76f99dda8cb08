import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changesOf, makeJob, makeSpec, start } from '../../test/decide/build-world.ts'
import { carryOut, endAttempt, type Scene } from '../../test/decide/carry-out.ts'
import { effort } from '../../test/decide/effort.ts'
import { mac } from '../../test/decide/sick-mac.ts'
import { hour, minute } from '../model/instant.ts'
import { advanceWorld, emptyWorld } from './advance-world.ts'
import { checkPlan } from './check-plan.ts'
import { decide } from './decide.ts'
import { moveOperation } from './move-operation.ts'
import { mostReboots } from './repairs.ts'

/** What a restart does to a machine of the simulation. */
type Fate = 'cured' | 'stillIll' | 'refused' | 'gone'

interface Fleet {
  readonly scene: Scene
  readonly ill: ReadonlySet<string>
  /** When each machine last booted a machine of its own. */
  readonly booted: ReadonlyMap<string, number>
}

/** What the agents of the fleet did since the last turn: jobs end now and then, restarts end by their host's fate, everybody reports. */
function turn(fleet: Fleet, fates: ReadonlyMap<string, Fate>, random: () => number): Fleet {
  let { scene } = fleet
  const now = scene.now + 10 * minute
  const ill = new Set(fleet.ill)
  const booted = new Map(fleet.booted)
  scene = { ...scene, now }
  for (const { attempt } of scene.world.attempts.values())
    if (random() < 0.2) scene = endAttempt(scene, attempt, { kind: 'exited', code: 0 })
  for (const operation of scene.world.operations.values()) {
    if (operation.state !== 'VALIDATING') continue
    const fate = fates.get(operation.hostId) ?? 'cured'
    const to = fate === 'refused' ? 'ERROR' : 'EXECUTING'
    const moved = { ...moveOperation(operation, { to, at: now, reason: '' }), ...(to === 'ERROR' ? {} : { completedAt: now - 1 }) }
    scene = { ...scene, world: advanceWorld(scene.world, [{ of: 'operation', id: moved.id, operation: moved }], scene.spec) }
    if (fate === 'cured') ill.delete(operation.hostId)
    if (fate === 'cured') booted.set(operation.hostId, now)
    if (fate === 'gone') booted.delete(operation.hostId)
  }
  const hosts = [...scene.world.hosts.values()].flatMap((host) => {
    const bootedAt = booted.get(host.id)
    if (bootedAt === undefined) return []
    const { facts } = mac(1, { isIll: ill.has(host.id), at: now, bootedAt })
    return [{ ...host, facts, lastSeenAt: now, state: 'up' as const }]
  })
  scene = { ...scene, world: advanceWorld(scene.world, changesOf({ hosts }), scene.spec) }
  return { scene, ill, booted }
}

describe('repairs, whatever happens to machines that are restarted', () => {
  const wishes = fc.record({
    fates: fc.array(fc.constantFrom<Fate>('cured', 'cured', 'stillIll', 'refused', 'gone'), { minLength: 4, maxLength: 4 }),
    ill: fc.subarray([0, 1, 2, 3], { minLength: 1 }),
    reboots: fc.constantFrom(1, 2, 3),
    jobs: fc.integer({ min: 0, max: 12 }),
    seed: fc.integer(),
  })

  it(
    'never restart a host with a job, nor one twice in an hour, nor more of a pool than it says; they end, and cured hosts return',
    { timeout: 60_000 },
    () => {
      fc.assert(
        fc.property(wishes, ({ fates, ill, reboots, jobs, seed }) => {
          const hosts = Array.from({ length: 4 }, (_, at) => mac(at + 1, {}))
          const fateOf = new Map(hosts.map(({ id }, at) => [id as string, fates[at] ?? 'cured']))
          const pools = { default: { repair: { reboots }, readiness: { bootProofMaxAge: '30h' } } }
          const wanted = makeSpec({ pools, queues: { default: { engine: 'user' } } })
          const all = Array.from({ length: jobs }, (_, at) => makeJob(at + 1))
          const world = advanceWorld(emptyWorld(start - hour), changesOf({ hosts, jobs: all }), wanted)
          let state = seed
          const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
          let fleet: Fleet = {
            scene: { spec: wanted, world, jobs: new Map(all.map((job) => [job.id as string, job])), now: start, made: 0 },
            ill: new Set(ill.flatMap((at) => hosts[at]?.id ?? [])),
            booted: new Map(hosts.map(({ id }) => [id, start - hour])),
          }
          const restarted = new Map<string, number>()
          // Long enough for three restarts of each machine that stays ill, one after the other where only one may be away.
          for (let turns = 0; turns < 18 * 6; turns += 1) {
            const { scene } = fleet
            const plan = decide(scene.spec, scene.world, scene.now)
            expect(checkPlan(plan, scene)).toEqual([])
            for (const step of plan.steps) {
              if (step.kind !== 'rebootHost') continue
              expect([...scene.world.attempts.values()].filter(({ attempt }) => attempt.hostId === step.hostId)).toEqual([])
              expect(scene.now - (restarted.get(step.hostId) ?? 0)).toBeGreaterThanOrEqual(hour)
              restarted.set(step.hostId, scene.now)
            }
            const next = carryOut(scene, plan)
            const away = [...next.world.operations.values()].filter(({ request }) => request.kind === 'reboot')
            expect(away.length).toBeLessThanOrEqual(reboots)
            fleet = turn({ ...fleet, scene: next }, fateOf, random)
          }
          for (const host of fleet.scene.world.hosts.values()) {
            const isCured = !ill.some((at) => hosts[at]?.id === host.id) || fateOf.get(host.id) === 'cured'
            expect([host.name, host.schedulable.kind]).toEqual([host.name, isCured ? 'open' : 'quarantined'])
            if (host.schedulable.kind === 'quarantined') expect(host.schedulable.repair?.tries).toBeLessThanOrEqual(mostReboots)
          }
        }),
        { numRuns: effort(8, 2) },
      )
    },
  )
})
