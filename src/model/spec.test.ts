import { describe, expect, it } from 'vitest'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { day, hour, minute, second } from './instant.ts'
import { DurationText, SizeText } from './quantity.ts'
import { defaultSpec, Image, Limits, networkModes, Pool, PoolEngine, Queue, Spec } from './spec.ts'

const gib = 1024 ** 3

describe('texts', () => {
  it('of durations are read into milliseconds', () => {
    expect(DurationText.parse('1h30m')).toBe(90 * minute)
    expect(DurationText.safeParse('soon').error?.issues).toMatchObject([
      { code: 'custom', message: 'a duration such as 90s, 5m, 1h30m or 7d' },
    ])
  })

  it.each([
    ['1KiB', 1024],
    ['512MiB', 512 * 1024 ** 2],
    ['1.5GiB', 1.5 * gib],
    ['2TiB', 2 * 1024 ** 4],
    ['0.1KiB', 102],
    ['10.25KiB', 10_496],
  ])('of sizes are read into bytes: %s', (text, bytes) => {
    expect(SizeText.parse(text)).toBe(bytes)
  })

  it.each(['', '1', 'GiB', '1GB', '-1GiB', '1 GiB', ' 1GiB', '1GiB ', '.5GiB', '1.GiB', 'x1GiB'])('of sizes are not %j', (text) => {
    expect(SizeText.safeParse(text).error?.issues).toMatchObject([{ code: 'custom', message: 'a size such as 512MiB or 1GiB' }])
  })
})

describe('an empty spec', () => {
  it('is one pool and one queue with every default', () => {
    expect(Spec.parse({ version: 1 })).toEqual(defaultSpec)
    expect(defaultSpec).toEqual({
      version: 1,
      pools: {
        default: {
          provider: 'static',
          hosts: [],
          labels: {},
          engines: {},
          readiness: { checkInterval: 5 * minute, checkMaxAge: 15 * minute, bootProofMaxAge: 24 * hour },
          quarantineAfter: 3,
          repair: { reboots: 1, rebootEvery: hour },
        },
      },
      images: {},
      queues: {
        default: {
          pools: [],
          weight: 1,
          maxQueued: 10_000,
          engine: 'user',
          shape: { cpu: 1, memoryMiB: 1024, diskMiB: 4096 },
          timeout: hour,
          retries: 2,
          environment: [],
        },
      },
      limits: {
        jobLog: gib,
        artifactBytes: 10 * gib,
        uploadBytes: 10 * gib,
        controllerDiskFloor: gib,
        logRetention: 30 * day,
        artifactRetention: 30 * day,
        historyRetention: 90 * day,
        journalRetention: 365 * day,
        attemptLease: 30 * minute,
        syncPoll: 25 * second,
        missedSyncs: 3,
        cancelGrace: 10 * second,
        sweepGrace: 2 * second,
        operationGrace: 3 * second,
        operations: {},
        retryDelay: 5 * second,
        hostKeyMaxAge: 30 * day,
        holdAfter: 10 * minute,
      },
    })
  })
})

describe('a spec', () => {
  it('refuses what it does not know, at every level', () => {
    const refused = (spec: object) => !Spec.safeParse({ version: 1, ...spec }).success
    expect(Spec.safeParse({}).success).toBe(false)
    expect(Spec.safeParse({ version: 2 }).success).toBe(false)
    for (const spec of [
      { x: 1 },
      { pools: { A: {} } },
      { pools: { a: { x: 1 } } },
      { pools: { a: { readiness: { x: 1 } } } },
      { pools: { a: { engines: { docker: {} } } } },
    ])
      expect([spec, refused(spec)]).toEqual([spec, true])
    for (const spec of [
      { queues: { a: { x: 1 } } },
      { queues: { 'a b': {} } },
      { images: { a: {} } },
      { images: { A: { engine: 'tart' } } },
      { limits: { x: 1 } },
    ])
      expect([spec, refused(spec)]).toEqual([spec, true])
    for (const spec of [
      { limits: { operations: { dance: {} } } },
      { limits: { operations: { exec: { x: '1s' } } } },
      { limits: { operations: { exec: { hard: 5 } } } },
    ])
      expect([spec, refused(spec)]).toEqual([spec, true])
    expect(refused({ limits: { operations: { exec: { warning: '1m', hard: '2m', reconnect: '3m' }, reboot: {} } } })).toBe(false)
  })

  it('holds pools to their bounds', () => {
    expect(PoolEngine.parse({})).toEqual({ limits: 'enforced', networks: ['nat', 'none'] })
    expectHeld(PoolEngine, {
      sample: { slots: 1, limits: 'advisory', networks: ['host'], warm: { linux: 1 } },
      optional: { slots: undefined, limits: 'enforced', networks: ['nat', 'none'], warm: undefined },
      good: { slots: [1000], warm: [{}, { linux: 100 }], networks: [['nat', 'host', 'none']] },
      bad: {
        slots: [0, 1001, 1.5],
        limits: ['maybe'],
        networks: [[], ['bridge']],
        warm: [{ linux: 0 }, { linux: 101 }, { linux: 0.5 }, 3],
      },
    })
    const sample = { provider: 'static', hosts: ['mini-*'], labels: { a: 'b' }, engines: {}, quarantineAfter: 1 }
    expectHeld(Pool.omit({ readiness: true, repair: true }), {
      sample,
      optional: { provider: 'static', hosts: [], labels: {}, engines: {}, quarantineAfter: 3 },
      good: { engines: [{ user: {}, tart: { slots: 2 } }] },
      bad: { provider: ['aws'], hosts: [['']], quarantineAfter: [0, 0.5], labels: [{ A: '' }] },
    })
    expect(Pool.parse({ repair: { reboots: 0, rebootEvery: '10m' } }).repair).toEqual({ reboots: 0, rebootEvery: 10 * minute })
    for (const repair of [{ reboots: -1 }, { reboots: 0.5 }, { reboots: 1001 }, { rebootEvery: 5 }, { x: 1 }])
      expect([repair, Pool.safeParse({ repair }).success]).toEqual([repair, false])
    expect(networkModes).toEqual(['nat', 'host', 'none'])
  })

  it('holds queues to their bounds', () => {
    const sample = {
      pools: ['a'],
      weight: 0.5,
      maxRunning: 1,
      maxQueued: 1,
      engine: 'tart',
      image: 'macos-15',
      shape: { cpu: 1, memoryMiB: 1, diskMiB: 1 },
      retries: 0,
      environment: ['CI'],
    }
    expectHeld(Queue.omit({ timeout: true }), {
      sample,
      optional: {
        pools: [],
        weight: 1,
        maxRunning: undefined,
        maxQueued: 10_000,
        engine: 'user',
        image: undefined,
        shape: { cpu: 1, memoryMiB: 1024, diskMiB: 4096 },
        retries: 2,
        environment: [],
      },
      good: { weight: [1000, 0.001], retries: [10] },
      bad: {
        pools: [['A']],
        weight: [0, 1000.1],
        maxRunning: [0, 1.5],
        maxQueued: [0, 1.5],
        engine: ['x'],
        image: ['A'],
        retries: [-1, 11, 0.5],
      },
    })
    expect(Queue.parse({ timeout: '5m' }).timeout).toBe(5 * minute)
    expect(Image.parse({ engine: 'tart' })).toMatchObject({ engine: 'tart', size: gib })
    expect(Image.parse({ engine: 'tart', size: '60GiB' }).size).toBe(60 * gib)
    expect(Image.safeParse({ engine: 'tart', x: 1 }).success).toBe(false)
  })

  it('holds limits to their bounds', () => {
    const count = (missedSyncs: number) => Limits.safeParse({ missedSyncs }).success
    expect([count(1), count(2), count(20), count(21), count(2.5)]).toEqual([false, true, true, false, false])
    const changed = { jobLog: '1MiB', artifactBytes: '1MiB', uploadBytes: '1MiB', controllerDiskFloor: '1MiB' }
    expect(Limits.parse(changed)).toMatchObject({
      jobLog: 1024 ** 2,
      artifactBytes: 1024 ** 2,
      uploadBytes: 1024 ** 2,
      controllerDiskFloor: 1024 ** 2,
    })
  })
})
