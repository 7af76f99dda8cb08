import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HostView, JobView, OperationView } from '../../src/model/api.ts'
import { until as untilWithin } from '../agent/real-agent.ts'
import { WithController } from '../agent/with-controller.ts'
import { images } from './lab.ts'
import { MacAgent } from './mac-agent.ts'

const limitMs = 110_000
const until: typeof untilWithin = (condition) => untilWithin(condition, limitMs)

/** Two Macs; a job may take what it wants of them. */
const spec = `
version: 1
pools: { default: { engines: { tart: { limits: advisory, networks: [host] } } } }
images: { macos-15: { engine: tart } }
queues: { default: { engine: tart, image: macos-15, retries: 3, shape: { cpu: 1, memoryMiB: 1024, diskMiB: 64 } } }
`

describe('a guest slot that the kernel of a Mac lost', { timeout: 600_000 }, () => {
  const both = new WithController()
  const macs: MacAgent[] = []

  beforeEach(async () => {
    const { generation } = await both.api<{ readonly generation: number }>('GET', '/spec')
    await both.api('PUT', '/spec', { source: spec, file: 'cidery.yaml', dryRun: false }, { 'if-match': `"${generation}"` })
  })
  // Before the controller goes.
  afterEach(async () => {
    for (const mac of macs.splice(0)) await mac.remove()
  })

  async function join(name: string, prepare: (mac: MacAgent) => void = () => undefined): Promise<MacAgent> {
    const mac = new MacAgent(name, both.controller.url)
    macs.push(mac)
    await mac.open([images.macos])
    prepare(mac)
    const { token } = await both.api<{ readonly token: string }>('POST', '/enrolments', { name })
    await mac.start(token)
    await until(async () => (await host(name)).facts?.readiness.some(({ boot }) => boot?.ok === true))
    return mac
  }

  function host(name: string): Promise<HostView> {
    return both.api<HostView>('GET', `/hosts/${name}`)
  }

  async function submit(script: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    return (await both.api<JobView>('POST', '/jobs', { script, labels })).id
  }

  async function job(id: string): Promise<JobView> {
    return both.api<JobView>('GET', `/jobs/${id}`)
  }

  it('closes the host at the first refusal; its jobs end, others go elsewhere; it is restarted once and works again [W-18]', async () => {
    // The first guest, the agent's own probe, goes and is counted for ever: one slot of two is left.
    const first = await join('mac-1', ({ lab }) => lab.faults([{ command: 'run', call: 1, effects: ['leakSlot'] }]))
    const boot = first.lab.bootId()
    const running = await submit('while :; do sleep 1; done')
    await until(async () => (await job(running)).state === 'running')

    const refused = await submit('exit 7')
    const closed = await until(async () => {
      const seen = await host('mac-1')
      return seen.schedulable.kind === 'quarantined' ? seen : undefined
    })
    expect(closed.schedulable).toMatchObject({
      reason: expect.stringContaining('the kernel counts a guest that is not there'),
      repair: { engines: ['tart'], tries: 0 },
    })
    expect((await job(refused)).attempts).toHaveLength(1)

    await join('mac-2')
    const elsewhere = await until(async () => {
      const seen = await job(refused)
      return seen.state === 'ended' ? seen : undefined
    })
    expect(elsewhere.outcome).toEqual({ kind: 'exited', code: 7 })
    expect(elsewhere.attempts.map(({ hostName }) => hostName)).toEqual(['mac-1', 'mac-2'])

    // The job that runs there is not ended for it.
    expect((await job(running)).state).toBe('running')
    expect(first.lab.bootId()).toBe(boot)
    const reasons = await both.api<{ readonly items: readonly { readonly message: string }[] }>('GET', '/explain/host/mac-1')
    expect(JSON.stringify(reasons)).toContain('its jobs and sandboxes have not ended')

    await both.api('POST', `/jobs/${running}/cancel`, {})
    await until(() => first.lab.bootId() !== boot)
    await first.stop()
    await first.start(null)
    await until(async () => (await host('mac-1')).schedulable.kind === 'open')

    const again = await submit('exit 8', { host: 'mac-1' })
    const done = await until(async () => {
      const seen = await job(again)
      return seen.state === 'ended' ? seen : undefined
    })
    expect(done.outcome).toEqual({ kind: 'exited', code: 8 })
    expect(done.attempts).toHaveLength(1)

    const { items: operations } = await both.api<{ readonly items: readonly OperationView[] }>('GET', '/hosts/mac-1/operations')
    expect(operations.map(({ request, state, requestedBy }) => [request.kind, state, requestedBy])).toEqual([
      ['reboot', 'SUCCESS', 'system'],
    ])
    expect(await storyOf('mac-1')).toEqual(['host.quarantined', 'host.repairing', 'operation.requested', 'host.rebooted', 'host.returned'])
    expect((await both.api<JobView>('GET', `/jobs/${running}`)).attempts).toHaveLength(1)
  })

  /** What the journal tells of a host from its quarantine on, and of its operations. */
  async function storyOf(name: string): Promise<readonly string[]> {
    const { items } = await both.api<{
      readonly items: readonly { readonly kind: string; readonly subject: string; readonly data: { readonly host?: string } }[]
    }>('GET', '/audit?limit=500')
    const told = items.filter(({ subject, data }) => subject === `host/${name}` || data.host === name).map(({ kind }) => kind)
    const wanted = new Set(['host.quarantined', 'host.repairing', 'operation.requested', 'host.rebooted', 'host.returned'])
    return told.filter((kind) => wanted.has(kind))
  }
})
