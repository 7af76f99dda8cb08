import { describe, expect, it } from 'vitest'
import { imageSpec, makeBuild, makeHostImages, makeLine, makeMac, makeRecipe } from '../../test/decide/build-images.ts'
import { idOf, makeAttempt, makeJob, makeWorld, start, type Things } from '../../test/decide/build-world.ts'
import { hour } from '../model/instant.ts'
import type { Step } from '../model/plan.ts'
import { checkPlan } from './check-plan.ts'

const spec = imageSpec({ rollout: { wave: 1, bandwidth: '100MiB', share: 1 } })
const build = makeBuild(1)
const other = makeBuild(2, { state: 'validated', identity: 'identity-2' })
const host = makeMac(1, [build.id, other.id])
const line = makeLine({ promoted: build.id })
const job = makeJob(1, { spec, wants: { image: 'macos-15' } })
const plain: Things = { hosts: [host], builds: [build, other], images: [line], jobs: [job] }

/** What the checker says of a plan of these steps; null: nothing. */
function problemOf(steps: Step | readonly Step[], things: Things = plain): string | null {
  const plan = { steps: Array.isArray(steps) ? (steps as readonly Step[]) : [steps as Step], waiting: [], nextAt: null }
  return checkPlan(plan, { spec, world: makeWorld(things), now: start }).at(-1)?.problem ?? null
}

const assign = (buildId?: string): Step => ({
  kind: 'assign',
  jobId: job.id,
  jobGeneration: 1,
  hostId: host.id,
  hostGeneration: 1,
  ...(buildId === undefined ? {} : { buildId }),
  why: '',
})
const begin = (change: Partial<Extract<Step, { kind: 'startBuild' }>> = {}): Step => ({
  kind: 'startBuild',
  image: 'macos-15',
  lineGeneration: 1,
  recipeGeneration: 1,
  hostId: host.id,
  hostGeneration: 1,
  fromBase: false,
  dueAt: null,
  why: '',
  ...change,
})
const fetch = (number: number, bandwidth: number | null = 1): Step => ({
  kind: 'holdBuild',
  hostId: idOf('host', number),
  buildId: build.id,
  image: 'macos-15',
  fetch: true,
  bandwidth,
  tries: 0,
  before: null,
})
const promote = (buildId: string = other.id): Step => ({
  kind: 'promoteBuild',
  image: 'macos-15',
  lineGeneration: 1,
  buildId,
  generation: 1,
  why: '',
})

describe('the checker of plans', () => {
  it('never lets a job start on a build that is neither promoted nor a canary, or that is not there', () => {
    expect(problemOf(assign(build.id))).toBeNull()
    expect(problemOf(assign())).toBe('the step names no build of macos-15')
    expect(problemOf(assign(other.id))).toBe(`build ${other.id} of macos-15 is neither promoted nor a canary`)
    expect(problemOf(assign(build.id), { ...plain, hosts: [makeMac(1, [])] })).toBe(`build ${build.id} of macos-15 is not on the host`)
    const forced = { ready: false, by: 'user:alice', at: start, reason: '', expiresAt: null }
    const states = [{ hostId: host.id, image: 'macos-15', forced, readyBuild: null, readySince: null }]
    expect(problemOf(assign(build.id), { ...plain, hostImages: new Map([[host.id, { holds: [], states }]]) })).toBe(
      'macos-15 is forced not ready on the host',
    )
  })

  it('never lets two builds of a line be under way, nor one on a host without room', () => {
    expect(problemOf(begin())).toBeNull()
    const underWay = makeBuild(3, { state: 'building', endedAt: null })
    expect(problemOf(begin(), { ...plain, builds: [build, underWay] })).toBe('macos-15 is being built already')
    expect(problemOf(begin({ lineGeneration: 2 }))).toContain('decided under generation 2')
    expect(problemOf(begin({ recipeGeneration: 2 }))).toBe('another recipe is in force')
    const large = { ...line, recipe: makeRecipe({ shape: { cpu: 64, memoryMiB: 1, diskMiB: 1 } }) }
    expect(problemOf(begin(), { ...plain, images: [large] })).toBe('the host has not enough CPU')
    const closed = { ...host, schedulable: { kind: 'cordoned' as const, by: '', at: start, reason: '' } }
    expect(problemOf(begin(), { ...plain, hosts: [closed] })).toBe('the host is not open')
  })

  it('never lets more hosts fetch than the wave, or faster than they may together', () => {
    const hosts = [makeMac(1, []), makeMac(2, [])]
    expect(problemOf(fetch(1), { ...plain, hosts })).toBeNull()
    expect(problemOf([fetch(1), fetch(2)], { ...plain, hosts })).toBe('more than 1 hosts would fetch macos-15 at once')
    expect(problemOf(fetch(1, null), { ...plain, hosts })).toBe('the fetches of macos-15 would be faster than they may')
    expect(problemOf(fetch(1, 101 * 1024 ** 2), { ...plain, hosts })).toBe('the fetches of macos-15 would be faster than they may')
    const lonely = { ...build, reference: null }
    expect(problemOf(fetch(1), { ...plain, hosts, builds: [lonely] })).toBe('the build is in no registry')
  })

  it('never lets what jobs get, could go back to, try or run on be taken away', () => {
    const drop = (buildId: string): Step => ({ kind: 'dropHold', hostId: host.id, buildId, before: start - 1000 })
    const remove = (buildId: string): Step => ({ kind: 'removeBuild', buildId, generation: 1, why: '' })
    const old = makeBuild(4, { state: 'retired' })
    const all = [build, other, old]
    const things: Things = { ...plain, builds: all, hostImages: new Map([[host.id, makeHostImages(host, all)]]) }
    expect([problemOf(drop(old.id), things), problemOf(remove(old.id), things)]).toEqual([null, null])
    expect([problemOf(drop(build.id), things), problemOf(remove(build.id), things)]).toEqual([
      'jobs get the build',
      'the build is not to be removed',
    ])
    const good = { ...things, images: [{ ...line, lastGood: old.id }] }
    expect([problemOf(drop(old.id), good), problemOf(remove(old.id), good)]).toEqual([
      'it is the last good build',
      'it is the last good build',
    ])
    const pinned = { ...things, builds: [build, other, { ...old, pinnedBy: 'user:alice' }] }
    expect([problemOf(drop(old.id), pinned), problemOf(remove(old.id), pinned)]).toEqual(['it is pinned', 'it is pinned'])
    const running = makeJob(2, { spec, wants: { image: 'macos-15' }, changes: { state: 'running' } })
    const used = { ...things, jobs: [running], attempts: [makeAttempt(1, { job: running, host }, { buildId: old.id })] }
    expect([problemOf(drop(old.id), used), problemOf(remove(old.id), used)]).toEqual([
      'a job runs on the build there',
      'a job runs on the build',
    ])
  })

  it('never lets a build be promoted that was taken back, or that too few hosts have proved ready', () => {
    expect(problemOf(promote())).toBeNull()
    expect(problemOf(promote(), { ...plain, hosts: [host, makeMac(2, [build.id])] })).toBe('only 1 of 2 hosts have the build, proved ready')
    expect(problemOf(promote(), { ...plain, images: [{ ...line, rejected: [other.id] }] })).toBe('only a person may promote the build')
    expect(problemOf(promote(), { ...plain, builds: [build, { ...other, state: 'candidate' }] })).toBe('the build is candidate')
  })

  it('never lets a build be called over that may go on, nor told of twice as ready', () => {
    const underWay = makeBuild(3, { state: 'building', endedAt: null, createdAt: start - hour })
    const end: Step = { kind: 'endBuild', buildId: underWay.id, generation: 1, reason: '' }
    expect(problemOf(end, { ...plain, builds: [build, underWay] })).toBe('the build may still go on')
    expect(problemOf(end, { ...plain, builds: [build, underWay], hosts: [{ ...host, bootId: 'boot-2' }] })).toBeNull()
    const ready: Step = { kind: 'noteReady', hostId: host.id, image: 'macos-15', build: build.id, before: null, reason: '' }
    expect(problemOf(ready)).toBeNull()
    expect(problemOf([ready, ready])).toContain('a second step')
    expect(problemOf({ ...ready, build: other.id })).toBe('jobs do not get the build')
  })
})
