import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeAttempt, makeEngine, makeFacts, makeHost, makeJob, makeSpec, makeWorld, start } from '../../test/decide/build-world.ts'
import { effort } from '../../test/decide/effort.ts'
import type { Host } from '../model/host.ts'
import type { Job } from '../model/job.ts'
import { decide } from './decide.ts'

interface Sum {
  readonly host: Host
  readonly size: { readonly cpu: number; readonly memoryMiB: number; readonly diskMiB: number; readonly slots: number }
  cpu: number
  memoryMiB: number
  diskMiB: number
  slots: number
}

const size = fc.record({
  cpu: fc.constantFrom(2, 4, 8),
  memoryMiB: fc.constantFrom(4000, 8000, 16_000),
  diskMiB: fc.constantFrom(20_000, 40_000),
  slots: fc.integer({ min: 1, max: 5 }),
  rack: fc.constantFrom('a', 'b'),
})
const shape = fc.record({
  cpu: fc.constantFrom(1, 2, 3),
  memoryMiB: fc.constantFrom(1000, 3000, 7000),
  diskMiB: fc.constantFrom(1000, 9000),
  rack: fc.constantFrom(undefined, 'a', 'b'),
})

function makeSum(number: number, of: { cpu: number; memoryMiB: number; diskMiB: number; slots: number; rack: string }): Sum {
  const { rack, ...whole } = of
  const { slots, ...room } = whole
  const facts = makeFacts({ capacity: room, free: { ...room, diskMiB: 1_000_000 }, engines: [makeEngine('user', { slots })] })
  return { host: makeHost(number, { labels: { rack }, facts }), size: whole, cpu: 0, memoryMiB: 0, diskMiB: 0, slots: 0 }
}

function take(sum: Sum, job: Job): void {
  const { cpu, memoryMiB, diskMiB } = job.resolved.shape
  sum.cpu += cpu
  sum.memoryMiB += memoryMiB
  sum.diskMiB += diskMiB
  sum.slots += 1
}

function hasRoom(sum: Sum, job: Job): boolean {
  const { rack } = job.resolved.spec.labels
  if (rack !== undefined && sum.host.labels['rack'] !== rack) return false
  const { cpu, memoryMiB, diskMiB } = job.resolved.shape
  return (
    sum.slots < sum.size.slots &&
    sum.cpu + cpu <= sum.size.cpu &&
    sum.memoryMiB + memoryMiB <= sum.size.memoryMiB &&
    sum.diskMiB + diskMiB <= sum.size.diskMiB
  )
}

function loadOf(sum: Sum): number {
  return Math.max(sum.cpu / sum.size.cpu, sum.memoryMiB / sum.size.memoryMiB, sum.diskMiB / sum.size.diskMiB, sum.slots / sum.size.slots)
}

/** The host that the rule names, found by looking at every host. */
function expected(sums: readonly Sum[], job: Job): Sum | undefined {
  const [best] = sums.filter((sum) => hasRoom(sum, job)).sort((a, b) => loadOf(a) - loadOf(b) || (a.host.id < b.host.id ? -1 : 1))
  return best
}

it('takes the host that looking at each one would take, job after job, whatever runs there', () => {
  const spec = makeSpec()
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 1, maxLength: 5 }),
      fc.array(shape, { maxLength: 6 }),
      fc.array(shape, { maxLength: 25 }),
      (sizes, busy, wishes) => {
        const sums = sizes.map((one, index) => makeSum(index + 1, one))
        const toJob = ({ rack, ...wanted }: (typeof wishes)[number], number: number, state: Job['state']) =>
          makeJob(number, { spec, wants: { shape: wanted, labels: rack === undefined ? {} : { rack } }, changes: { state } })
        const running = busy.map((one, index) => toJob(one, 500 + index, 'running'))
        const attempts = running.flatMap((job, index) => {
          const sum = expected(sums, job)
          if (sum === undefined) return []
          take(sum, job)
          return [makeAttempt(index, { job, host: sum.host })]
        })
        const queued = wishes.map((one, index) => toJob(one, index, 'queued'))
        const plan = decide(spec, makeWorld({ hosts: sums.map(({ host }) => host), jobs: [...running, ...queued], attempts }), start)
        for (const step of plan.steps) {
          if (step.kind !== 'assign') continue
          const job = queued.find(({ id }) => id === step.jobId)
          if (job === undefined) throw new Error('a job that was not asked for')
          const sum = expected(sums, job)
          expect(step.hostId).toBe(sum?.host.id)
          if (sum !== undefined) take(sum, job)
        }
        const placed = new Set(plan.steps.flatMap((step) => (step.kind === 'assign' ? [step.jobId] : [])))
        for (const job of queued) if (!placed.has(job.id)) expect(expected(sums, job)).toBeUndefined()
      },
    ),
    { numRuns: effort(500, 150) },
  )
})
