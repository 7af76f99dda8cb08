import { afterEach, describe, expect, it } from 'vitest'
import { serveHealth, type HealthEndpoint } from '../../src/main/agent-health.ts'
import { judgeHealth, type AgentHealth, type HealthInputs } from '../../src/observe/agent/health.ts'
import { virtualAgent } from '../doubles/virtual-agent.ts'

let endpoint: HealthEndpoint | undefined

afterEach(async () => {
  await endpoint?.close()
  endpoint = undefined
})

/** What a host that is well looks like. */
async function wellHost(): Promise<HealthInputs> {
  const agent = virtualAgent()
  await agent.start()
  await agent.time.advance(1000)
  const facts = agent.controller.syncs.find(({ request }) => request.facts !== null)?.request.facts ?? null
  await agent.kill()
  return { facts, sync: { online: true, problem: null }, silentMs: 0 }
}

describe('the local health endpoint', () => {
  it('answers 200 OK when the host is well, and 503 with the reason when one of its parts is not [001-49]', async () => {
    const well = await wellHost()
    const { facts } = well
    if (facts === null) throw new Error('no facts came')
    let health: AgentHealth = judgeHealth(well)
    endpoint = await serveHealth({ host: '127.0.0.1', port: 0 }, () => health)
    const { url } = endpoint
    async function ask(inputs: HealthInputs): Promise<readonly [number, string]> {
      health = judgeHealth(inputs)
      const response = await fetch(url)
      return [response.status, await response.text()]
    }
    expect(await ask(well)).toEqual([200, 'OK\n'])
    expect(await ask({ ...well, sync: { online: false, problem: 'the controller could not be reached' } })).toEqual([
      503,
      'network: the controller could not be reached\n',
    ])
    expect(await ask({ ...well, facts: { ...facts, diskUsed: 0.95 } })).toEqual([200, 'OK\n'])
    expect(await ask({ ...well, facts: { ...facts, diskUsed: 0.951 } })).toEqual([503, 'disk: 95 % used\n'])
    expect(await ask({ ...well, facts: { ...facts, memoryFree: 0.05 } })).toEqual([200, 'OK\n'])
    expect(await ask({ ...well, facts: { ...facts, memoryFree: 0.049 } })).toEqual([503, 'memory: 5 % free\n'])
    const broken = facts.engines.map((engine) => ({ ...engine, ok: false, problems: ['att_1 was not cleaned up'] }))
    expect(await ask({ ...well, facts: { ...facts, engines: broken } })).toEqual([
      503,
      'supervisor: engine user: att_1 was not cleaned up\n',
    ])
    expect(await ask({ ...well, facts: null })).toEqual([503, 'host: it could not be looked at\n'])
  })

  it('serves nothing else, and says when its port is taken', async () => {
    endpoint = await serveHealth({ host: '127.0.0.1', port: 0 }, () => ({ ok: true, reasons: [] }))
    expect((await fetch(endpoint.url.replace('/health', '/metrics'))).status).toBe(404)
    expect((await fetch(endpoint.url, { method: 'POST' })).status).toBe(404)
    const port = Number(new URL(endpoint.url).port)
    await expect(serveHealth({ host: '127.0.0.1', port }, () => ({ ok: true, reasons: [] }))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})
