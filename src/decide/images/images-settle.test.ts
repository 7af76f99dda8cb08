import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { carryOut, type Scene } from '../../../test/decide/carry-out.ts'
import { effort } from '../../../test/decide/effort.ts'
import { calm, lineNames, moreJobs, passTime, someFleet, someTurn } from '../../../test/decide/image-fleet.ts'
import type { Plan } from '../../model/plan.ts'
import { checkPlan } from '../check-plan.ts'
import { decide } from '../decide.ts'

const runs = { numRuns: effort(150, 15) }

const planOf = (scene: Scene): Plan => decide(scene.spec, scene.world, scene.now)

/** What must never be, whatever a plan says. */
function expectSafe(scene: Scene): void {
  const { builds, attempts } = scene.world
  for (const name of lineNames) {
    const ofLine = [...builds.values()].filter(({ image }) => image === name)
    for (const state of ['building', 'promoted']) expect(ofLine.filter((build) => build.state === state).length).toBeLessThanOrEqual(1)
    expectKept(scene, name)
    expectWave(scene, name)
  }
  for (const { attempt } of attempts.values()) if (attempt.buildId !== null) expect(builds.has(attempt.buildId)).toBe(true)
}

function expectKept({ world }: Scene, name: string): void {
  const line = world.images.get(name)
  const kept = [line?.promoted ?? null, line?.lastGood ?? null, line?.canary?.buildId ?? null]
  for (const id of kept) if (id !== null) expect(world.builds.has(id)).toBe(true)
}

function expectWave({ world, spec }: Scene, name: string): void {
  const { wave, bandwidth } = spec.images[name]?.rollout ?? { wave: 0 }
  const holds = [...world.hostImages.values()].flatMap((images) => images.holds)
  const under = holds.filter(({ image, fetch, hostId, buildId }) => {
    const stored = world.hosts.get(hostId)?.facts?.storedImages ?? []
    return fetch && image === name && stored.every(({ id }) => id !== buildId)
  })
  expect(under.length).toBeLessThanOrEqual(wave)
  if (bandwidth === undefined) return
  expect(under.reduce((sum, hold) => sum + (hold.bandwidth ?? Number.POSITIVE_INFINITY), 0)).toBeLessThanOrEqual(bandwidth)
}

function isReadyEverywhere(scene: Scene): boolean {
  return lineNames.every((name) => {
    const line = scene.world.images.get(name)
    const promoted = scene.world.builds.get(line?.promoted ?? '')
    if (promoted === undefined || promoted.identity !== line?.recipe?.identity || line.asked !== null) return false
    return [...scene.world.hosts.values()].every(
      ({ schedulable, facts }) => schedulable.kind !== 'open' || facts?.storedImages?.some(({ id }) => id === promoted.id) === true,
    )
  })
}

describe('images of a fleet', () => {
  it('never break a rule that the checker knows, whatever hosts and chance do [W-03]', () => {
    fc.assert(
      fc.property(someFleet, fc.array(someTurn, { maxLength: 12 }), (fleet, turns) => {
        let scene = fleet
        for (const [round, turn] of turns.entries()) {
          for (let pass = 0; pass < 3; pass += 1) {
            const plan = planOf(scene)
            expect(checkPlan(plan, scene)).toEqual([])
            scene = carryOut(scene, plan)
            expectSafe(scene)
          }
          scene = passTime(moreJobs(scene, round), turn)
        }
      }),
      runs,
    )
  })

  it('come to be ready on every open host, whatever was missing or stale, once nothing goes wrong any more [000-15]', () => {
    fc.assert(
      fc.property(someFleet, fc.array(someTurn, { maxLength: 6 }), (fleet, turns) => {
        let scene = fleet
        for (const turn of turns) scene = passTime(carryOut(scene, planOf(scene)), turn)
        // A flaky build waits for a person, who takes it.
        const flaky = [...scene.world.builds.values()].filter(({ state }) => state === 'candidate')
        fc.pre(flaky.length === 0)
        let round = 0
        for (; round < 80 && !isReadyEverywhere(scene); round += 1)
          scene = passTime(moreJobs(carryOut(scene, planOf(scene)), 100 + round), calm)
        if (!isReadyEverywhere(scene)) expect(planOf(scene).waiting).toEqual([])
      }),
      runs,
    )
  })

  it('settle: a plan carried out leaves nothing to do but what it holds back', () => {
    fc.assert(
      fc.property(someFleet, fc.array(someTurn, { maxLength: 3 }), (fleet, turns) => {
        let scene = fleet
        for (const turn of turns) scene = passTime(carryOut(scene, planOf(scene)), turn)
        let rounds = 0
        for (let plan = planOf(scene); plan.steps.length > 0; plan = planOf(scene)) {
          scene = carryOut(scene, plan)
          rounds += 1
          expect(rounds).toBeLessThan(12)
        }
        const { nextAt } = planOf(scene)
        const until = nextAt === null ? scene.now + 3_600_000 : nextAt - 1
        expect(planOf({ ...scene, now: until }).steps).toEqual([])
      }),
      runs,
    )
  })
})
