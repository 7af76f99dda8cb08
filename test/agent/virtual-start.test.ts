import { describe, expect, it } from 'vitest'
import { keyHash, keyringOf } from '../../src/loop/agent/keyring.ts'
import { enrol, waitForController, defaultNetworkWait, type Enrolment } from '../../src/loop/agent/start.ts'
import { CideryError } from '../../src/model/errors.ts'
import { defaultVerdictPolicy } from '../../src/observe/agent/verdict.ts'
import type { AgentPorts } from '../../src/ports/agent.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { memoryJournal } from '../doubles/memory-journal.ts'
import { virtualAgent, type VirtualAgent } from '../doubles/virtual-agent.ts'

const unreachable = new CideryError('UNREACHABLE', 'getaddrinfo EAI_AGAIN controller.example')
const enrolment: Enrolment = {
  token: 'cidery_enr_0123456789012345678901',
  controllerUrl: 'https://controller.example',
  caFingerprint: null,
  hostname: 'mini-1',
  os: 'linux',
  arch: 'x64',
}

/** Counts health probes and notes when each began. */
function probed(agent: VirtualAgent, upAfterMs: number): { readonly ports: AgentPorts; readonly at: readonly number[] } {
  const at: number[] = []
  const { link } = agent.controller
  agent.controller.fault = () => (agent.time.elapsed() < upAfterMs ? unreachable : null)
  const health: typeof link.health = (timeoutMs) => {
    at.push(agent.time.elapsed())
    return link.health(timeoutMs)
  }
  return { at, ports: { ...agent.ports, link: { ...link, health } } }
}

describe('an agent that starts', () => {
  it('starts at once when the health URL answers [003-01]', async () => {
    const agent = virtualAgent()
    const { ports, at } = probed(agent, 0)
    await expect(waitForController(ports, defaultNetworkWait, new AbortController().signal)).resolves.toBe(true)
    expect(at).toEqual([0])
  })

  it('starts as soon as the network is up, 45 s after a cold boot [003-01] [003-17]', async () => {
    const agent = virtualAgent()
    const { ports } = probed(agent, 45_000)
    let found: boolean | undefined
    void waitForController(ports, defaultNetworkWait, new AbortController().signal).then((ready) => (found = ready))
    await agent.time.advance(44_000)
    expect(found).toBeUndefined()
    await agent.time.advance(4000)
    expect(found).toBe(true)
    await agent.start()
    await agent.time.advance(1000)
    expect(agent.controller.syncs.length).toBeGreaterThan(0)
    await agent.kill()
  })

  it('probes every 2 s for at most 60 s and one probe [003-02]', async () => {
    const agent = virtualAgent()
    const { ports, at } = probed(agent, Number.POSITIVE_INFINITY)
    let endedAt: number | undefined
    void waitForController(ports, defaultNetworkWait, new AbortController().signal).then(() => (endedAt = agent.time.elapsed()))
    await agent.time.advance(120_000)
    expect(at.slice(0, 4)).toEqual([0, 2000, 4000, 6000])
    expect(at.at(-1)).toBeLessThanOrEqual(60_000)
    expect(endedAt).toBeGreaterThanOrEqual(60_000)
    expect(endedAt).toBeLessThanOrEqual(62_000)
  })

  it('runs degraded without a controller and connects when the network appears [003-03]', async () => {
    const agent = virtualAgent()
    const { ports } = probed(agent, 150_000)
    let ready: boolean | undefined
    void waitForController(ports, defaultNetworkWait, new AbortController().signal).then((found) => (ready = found))
    await agent.time.advance(62_000)
    expect(ready).toBe(false)
    const loop = await agent.start({ healthPolicy: defaultVerdictPolicy })
    await agent.time.advance(60_000)
    expect(loop.online()).toBe(false)
    expect(loop.health().ok).toBe(false)
    await agent.time.advance(150_000)
    expect(loop.online()).toBe(true)
    await agent.kill()
  })

  it('registers within one back-off after a resolver that failed for 5 minutes [003-04]', async () => {
    const agent = virtualAgent()
    agent.controller.fault = () => (agent.time.elapsed() < 300_000 ? unreachable : null)
    const journal = memoryJournal()
    const ports = { ...agent.ports, journal }
    const keyring = keyringOf(journal, seededRandom(2))
    let enrolledAt: number | undefined
    void enrol(ports, keyring, { enrolment, signal: new AbortController().signal }).then(() => (enrolledAt = agent.time.elapsed()))
    await agent.time.advance(400_000)
    expect(enrolledAt).toBeGreaterThanOrEqual(300_000)
    expect(enrolledAt).toBeLessThanOrEqual(360_000)
    expect((await journal.identity())?.name).toBe('mini-1')
  })

  it('gives up on a token that is refused, and shows the same key again after an answer that was lost', async () => {
    const agent = virtualAgent()
    const journal = memoryJournal()
    const ports = { ...agent.ports, journal }
    const signal = new AbortController().signal
    agent.controller.fault = (call) => (call === 'enrol' ? new CideryError('UNAUTHENTICATED', 'the token is used') : null)
    await expect(enrol(ports, keyringOf(journal, seededRandom(2)), { enrolment, signal })).rejects.toThrow('the token is used')
    const key = await journal.enrolmentKey()
    agent.controller.fault = () => null
    await enrol(ports, keyringOf(journal, seededRandom(3)), { enrolment, signal })
    expect(agent.controller.enrolments.map((each) => each.keyHash)).toEqual([keyHash(key ?? '')])
  })
})
