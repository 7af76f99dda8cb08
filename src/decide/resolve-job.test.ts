import { describe, expect, it } from 'vitest'
import { makeSpec } from '../../test/decide/build-world.ts'
import { CideryError } from '../model/errors.ts'
import { JobSpec } from '../model/job.ts'
import { resolveJob } from './resolve-job.ts'

const spec = makeSpec({
  pools: {
    default: { engines: { user: { networks: ['none', 'nat'] }, tart: {} } },
    open: { engines: { user: { networks: ['host', 'none'] } } },
  },
  images: { 'macos-15': { engine: 'tart' }, 'macos-14': { engine: 'tart' }, 'debian-12': { engine: 'qemu' } },
  queues: {
    default: { shape: { cpu: 2, memoryMiB: 2048, diskMiB: 100 }, timeout: '90s', retries: 4 },
    ios: { engine: 'tart', image: 'macos-15' },
    both: { engine: 'user', image: 'macos-15' },
    closed: { pools: ['default'] },
    nowhere: { pools: ['gone'] },
  },
  limits: { jobLog: '5MiB' },
})

function resolve(wants: Record<string, unknown>) {
  return resolveJob(spec, JobSpec.parse({ command: ['true'], ...wants }))
}

function refusal(wants: Record<string, unknown>): CideryError {
  try {
    resolve(wants)
  } catch (error) {
    if (error instanceof CideryError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('what the machine must have besides', () => {
  it.each([
    ['user', {}],
    ['qemu', { image: 'debian-12' }],
    ['tart', { image: 'macos-15' }],
  ])('is refused by the engine %s where it does not have it, and never ignored [001-95]', (engine, wants) => {
    for (const feature of ['gpu', 'nested', 'secureBoot', 'tpm']) {
      const { code, message, hint } = refusal({ ...wants, requires: [feature] })
      expect({ code, message, hint }).toEqual({
        code: 'INVALID_INPUT',
        message: `engine ${engine} gives no job ${feature}`,
        hint: 'leave it out: no engine of this version has it',
      })
    }
    expect(refusal({ ...wants, requires: ['tpm', 'gpu'] }).message).toBe(`engine ${engine} gives no job tpm, gpu`)
    expect(resolve({ ...wants, requires: [] })).toMatchObject({ engine })
    expect(JobSpec.safeParse({ command: ['true'], requires: ['teleport'] }).success).toBe(false)
  })
})

describe('a job takes from its queue what it does not say itself', () => {
  it('engine, image, shape, limits, retries and network', () => {
    expect(resolve({})).toMatchObject({
      engine: 'user',
      image: null,
      shape: { cpu: 2, memoryMiB: 2048, diskMiB: 100 },
      timeoutS: 90,
      retries: 4,
      network: 'none',
      logBytes: 5 * 1024 * 1024,
    })
    expect(resolve({ queue: 'ios' })).toMatchObject({ engine: 'tart', image: 'macos-15', network: 'nat' })
  })

  it('and keeps what it says', () => {
    const wants = { shape: { cpu: 0.5 }, timeoutS: 7, retries: 0, network: 'host' }
    expect(resolve(wants)).toMatchObject({ shape: { cpu: 0.5, memoryMiB: 2048, diskMiB: 100 }, timeoutS: 7, retries: 0, network: 'host' })
    expect(resolve({ shape: { memoryMiB: 5, diskMiB: 0 } }).shape).toEqual({ cpu: 2, memoryMiB: 5, diskMiB: 0 })
    expect(resolve(wants).spec.timeoutS).toBe(7)
  })

  it('takes the engine of the image it names', () => {
    expect(resolve({ image: 'macos-14' })).toMatchObject({ engine: 'tart', image: 'macos-14' })
    expect(resolve({ image: 'macos-14', engine: 'tart' })).toMatchObject({ engine: 'tart', image: 'macos-14' })
  })

  it("leaves the queue's image to jobs of the image's engine", () => {
    expect(resolve({ queue: 'both' })).toMatchObject({ engine: 'user', image: null })
    expect(resolve({ queue: 'both', engine: 'tart' })).toMatchObject({ engine: 'tart', image: 'macos-15' })
  })
})

describe('a job that cannot be is refused with the field and what it may be', () => {
  it('an unknown queue', () => {
    const error = refusal({ queue: 'x' })
    expect(error.code).toBe('INVALID_INPUT')
    expect(error.problems).toEqual([
      { path: 'queue', message: 'there is no queue "x"', accepted: ['both', 'closed', 'default', 'ios', 'nowhere'] },
    ])
    expect(error.hint).toBe('use both, closed, default, ios, nowhere')
  })

  it('an unknown image', () => {
    expect(refusal({ image: 'x' }).problems).toEqual([
      { path: 'image', message: 'there is no image "x"', accepted: ['debian-12', 'macos-14', 'macos-15'] },
    ])
    expect(refusal({ image: 'x', engine: 'tart' }).problems?.[0]?.accepted).toEqual(['macos-14', 'macos-15'])
  })

  it('an image of another engine', () => {
    const error = refusal({ image: 'macos-15', engine: 'user' })
    expect(error.message).toBe('image "macos-15" is for engine tart, not user')
    expect(error.problems?.[0]).toMatchObject({ path: 'image', accepted: [] })
    expect(error.hint).toBe('add it to cidery.yaml and run cidery apply')
  })

  it('an engine that boots images, without one', () => {
    expect(refusal({ engine: 'qemu' }).problems).toEqual([
      { path: 'image', message: 'engine qemu boots an image, and neither job nor queue names one', accepted: ['debian-12'] },
    ])
    expect(refusal({ engine: 'tart' }).problems?.[0]?.accepted).toEqual(['macos-14', 'macos-15'])
  })

  it('a network that no pool of its queue gives', () => {
    const error = refusal({ queue: 'closed', network: 'host' })
    expect(error.problems).toEqual([
      { path: 'network', message: 'no pool of queue "closed" gives engine user the network "host"', accepted: ['none', 'nat'] },
    ])
  })

  it('but a queue whose pools offer nothing yet is for placement to explain', () => {
    expect(resolve({ queue: 'nowhere' }).network).toBe('nat')
    expect(resolve({ queue: 'nowhere', network: 'host' }).network).toBe('host')
  })
})
