import { expect, it } from 'vitest'
import { fakeEngine } from '../../../test/doubles/fake-engine.ts'
import { fakeHost, testRelease } from '../../../test/doubles/fake-host.ts'
import { virtualTime } from '../../../test/doubles/virtual-time.ts'
import type { HostFacts } from '../../model/host.ts'
import { observeFacts } from './facts.ts'

it('does not take an engine for cured that cannot look whether it is', async () => {
  const time = virtualTime()
  let look: () => Promise<string | null> = () => Promise.resolve('it is stuck')
  const engine = { ...fakeEngine(time), needsReboot: () => look() }
  const ports = { probe: fakeHost().probe, engines: new Map([['user' as const, engine]]), clock: time.clock, releases: testRelease }
  const known = {
    agentVersion: '1',
    mayReboot: false,
    readiness: [],
    images: [],
    storedImages: null,
    residue: new Map(),
    clockSkewMs: null,
  }
  const see = (before: HostFacts | null): Promise<HostFacts> => observeFacts(ports, { ...known, before })

  const ill = await see(null)
  expect(ill.needsReboot).toEqual([{ engine: 'user', reason: 'it is stuck' }])
  look = () => Promise.reject(new Error('the disk is slow'))
  const blind = await see(ill)
  expect(blind.needsReboot).toEqual(ill.needsReboot)
  look = () => Promise.resolve(null)
  expect((await see(blind)).needsReboot).toEqual([])
  look = () => Promise.reject(new Error('the disk is slow'))
  expect((await see(null)).needsReboot).toEqual([])
})
