import { expect, it } from 'vitest'
import { makeEngine, makeFacts } from '../../test/decide/build-world.ts'
import { expectHeld } from '../../test/model/hold-schema.ts'
import { EngineFacts, hostCan, HostFacts, hostStates, hostTransitions, Schedulable } from './host.ts'

it('has states that follow each other by a table, of which retired is the end', () => {
  expect(hostStates).toEqual(['enrolled', 'up', 'lost', 'retired'])
  expect(hostTransitions).toEqual({ enrolled: ['up', 'retired'], up: ['lost', 'retired'], lost: ['up', 'retired'], retired: [] })
  const open = ['enrolled', 'up', 'lost']
  expect(hostCan).toEqual({ cordon: open, uncordon: open, drain: open, retire: open, rotateKey: open, operate: ['up'] })
})

it('is open, or says who or what closed it', () => {
  const closed = { by: 'user:bob', at: 1, reason: '' }
  for (const sample of [
    { kind: 'open' },
    { kind: 'cordoned', ...closed },
    { kind: 'draining', ...closed, deadline: null },
    { kind: 'quarantined', at: 1, reason: 'x', cure: 'y' },
  ]) {
    expectHeld(Schedulable, { sample })
  }
  expectHeld(Schedulable, {
    sample: { kind: 'quarantined', at: 1, reason: 'x', cure: 'y', repair: { engines: ['tart'], tries: 0 } },
    optional: { repair: undefined },
    bad: {
      repair: [{}, { engines: ['x'], tries: 0 }, { engines: [], tries: -1 }, { engines: [], tries: 0.5 }, { engines: [], tries: 0, x: 1 }],
    },
  })
  expect(Schedulable.safeParse({ kind: 'draining', ...closed, deadline: 5 }).success).toBe(true)
  expect(Schedulable.safeParse({ kind: 'closed' }).success).toBe(false)
})

it('reports facts that are whole, and may report more than is known yet', () => {
  expectHeld(HostFacts, {
    sample: makeFacts({
      problems: ['x'],
      network: { addresses: ['10.0.0.1'], rxBytes: 1, txBytes: 2 },
      sandboxes: [{ id: 'a', engine: 'user', state: 'running' }],
      agentRelease: { commit: 'abc', path: '/x', sha256: '0'.repeat(64), operation: null },
      needsReboot: [{ engine: 'tart', reason: 'x' }],
    }),
    optional: { agentRelease: undefined, needsReboot: undefined },
    loose: true,
    good: {
      clockSkewMs: [null, -5],
      os: ['macos'],
      arch: ['arm64'],
      hostname: ['x'.repeat(255)],
      osVersion: ['x'.repeat(200)],
      agentVersion: ['x'.repeat(100)],
    },
    bad: {
      hostname: ['x'.repeat(256)],
      os: ['windows'],
      osVersion: ['x'.repeat(201)],
      arch: ['riscv'],
      agentVersion: ['x'.repeat(101)],
      network: [{}, { addresses: [1], rxBytes: 1, txBytes: 1 }, { addresses: [], rxBytes: 1, txBytes: 1, x: 1 }],
      sandboxes: [[{}], [{ id: 'a', engine: 'x', state: '' }]],
      needsReboot: [[{}], [{ engine: 'x', reason: '' }], [{ engine: 'tart', reason: 'x'.repeat(501) }]],
    },
  })
  expectHeld(EngineFacts, {
    sample: makeEngine('tart', { problems: ['x'] }),
    good: { slots: [0], isolation: ['directory', 'account'] },
    bad: {
      name: ['docker'],
      isolation: ['none'],
      slots: [-1, 0.5],
      capabilities: [
        {},
        { ...makeEngine().capabilities, networks: ['x'] },
        { ...makeEngine().capabilities, limits: ['x'] },
        { ...makeEngine().capabilities, x: 1 },
      ],
    },
  })
  const { capabilities } = makeEngine()
  for (const key of Object.keys(capabilities)) {
    expect(EngineFacts.safeParse(makeEngine('user', { capabilities: { ...capabilities, [key]: undefined } })).success).toBe(false)
  }
  expect(
    EngineFacts.safeParse(
      makeEngine('user', {
        capabilities: { ...capabilities, limits: ['cpu', 'memory', 'disk', 'processes'], networks: ['nat', 'host', 'none'] },
      }),
    ).success,
  ).toBe(true)
})
