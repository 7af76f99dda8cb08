import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { changesOf } from '../../test/decide/build-world.ts'
import { carryOut, type Scene } from '../../test/decide/carry-out.ts'
import { effort } from '../../test/decide/effort.ts'
import { randomScene } from '../../test/decide/random-world.ts'
import { isTerminalOperation } from '../model/operation.ts'
import type { Plan } from '../model/plan.ts'
import { advanceWorld, emptyWorld } from './advance-world.ts'
import { checkPlan } from './check-plan.ts'
import { decide } from './decide.ts'

const runs = { numRuns: effort(300, 25) }

function planOf(scene: Scene): Plan {
  return decide(scene.spec, scene.world, scene.now)
}

describe('a plan is safe', () => {
  it('never assigns a job to a host that is cordoned, lost, unproved or full, and never breaks a rule that the checker knows', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        expect(checkPlan(planOf(scene), scene)).toEqual([])
      }),
      runs,
    )
  })

  it('never gives a job two live attempts', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        let next = scene
        for (let round = 0; round < 4; round += 1) {
          next = carryOut(next, planOf(next))
          const jobs = [...next.world.attempts.values()].map(({ attempt }) => attempt.jobId)
          expect(new Set(jobs).size).toBe(jobs.length)
        }
      }),
      runs,
    )
  })

  it('never ends an attempt whose host is up under the same boot id and was heard of', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        for (const step of planOf(scene).steps) {
          if (step.kind !== 'endAttempt') continue
          const attempt = scene.world.attempts.get(step.attemptId)?.attempt
          const host = attempt === undefined ? undefined : scene.world.hosts.get(attempt.hostId)
          if (attempt === undefined || host === undefined) throw new Error('a step for an attempt or host that is not there')
          const silentMs = scene.now - Math.max(attempt.receiptAt, host.lastSeenAt ?? 0)
          const isGone = host.state === 'retired' || host.bootId !== attempt.hostBootId
          expect(isGone || silentMs >= scene.spec.limits.attemptLease * 1.1 + 60_000).toBe(true)
        }
      }),
      runs,
    )
  })

  it('never moves an operation that ended, and moves each by its table only', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        let next = scene
        for (let round = 0; round < 6; round += 1) {
          // carryOut throws on a move that the table does not have.
          next = carryOut(next, planOf(next))
          for (const operation of next.world.operations.values()) expect(isTerminalOperation(operation.state)).toBe(false)
          next = { ...next, now: next.now + 45_000 }
        }
      }),
      runs,
    )
  })
})

describe('deciding settles', () => {
  it('leaves nothing to do but what it holds back, once a plan is carried out', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        let next = scene
        let rounds = 0
        for (let plan = planOf(next); plan.steps.length > 0; plan = planOf(next)) {
          next = carryOut(next, plan)
          rounds += 1
          expect(rounds).toBeLessThan(12)
        }
      }),
      runs,
    )
  })

  it('says for every queued job that it does not place why it waits', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        const plan = planOf(scene)
        const placed = new Set(plan.steps.flatMap((step) => (step.kind === 'assign' || step.kind === 'cancelQueued' ? [step.jobId] : [])))
        for (const job of scene.world.jobs.values()) {
          if (job.state !== 'queued' || placed.has(job.id)) continue
          const reasons = plan.waiting.filter((waiting) => waiting.subject === `class/${job.classKey}`)
          expect(reasons.length).toBeGreaterThan(0)
          for (const reason of reasons) {
            expect(reason.message).not.toBe('')
            expect(reason.cure).not.toBe('')
            expect(reason.since).toBeLessThanOrEqual(scene.now)
            expect(reason.hosts.length).toBe(Math.min(20, reason.hostCount))
            expect(reason.jobCount).toBeGreaterThan(0)
          }
        }
      }),
      runs,
    )
  })

  it('looks again later than now, if at all', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        const { nextAt } = planOf(scene)
        expect(nextAt === null || nextAt > scene.now).toBe(true)
      }),
      runs,
    )
  })

  it('changes its answer by time alone only at the moment it named', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        const settled = settle(scene)
        const { nextAt } = planOf(settled)
        const until = nextAt === null ? settled.now + 3_600_000 : nextAt - 1
        const later = { ...settled, now: until }
        expect(planOf(later).steps).toEqual([])
        expect(planOf(later).waiting.map(({ subject, code }) => [subject, code])).toEqual(
          planOf(settled).waiting.map(({ subject, code }) => [subject, code]),
        )
      }),
      runs,
    )
  })
})

function settle(scene: Scene): Scene {
  let next = scene
  for (let plan = planOf(next); plan.steps.length > 0; plan = planOf(next)) next = carryOut(next, plan)
  return next
}

describe('deciding is a function', () => {
  it('gives the same plan for the same facts, in whatever order and portions they came', () => {
    fc.assert(
      fc.property(randomScene(), (scene) => {
        const { hosts, attempts, operations, sandboxes, listeningSince } = scene.world
        const things = {
          hosts: [...hosts.values()].toReversed(),
          jobs: [...scene.jobs.values()].toReversed(),
          attempts: [...attempts.values()].map(({ attempt }) => attempt).toReversed(),
          operations: [...operations.values()].toReversed(),
          sandboxes: [...sandboxes.values()].toReversed(),
        }
        const spec = structuredClone(scene.spec)
        let world = emptyWorld(listeningSince)
        for (const change of structuredClone(changesOf(things))) world = advanceWorld(world, [change], spec)
        expect(decide(spec, world, scene.now)).toEqual(planOf(scene))
      }),
      runs,
    )
  })
})
