import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { JobView } from '../../src/model/api.ts'
import { until } from './real-agent.ts'
import { WithController } from './with-controller.ts'

describe('the identity of a host', () => {
  const both = new WithController()

  it('keeps its lock in a private directory of its identity alone, and makes one private that is not [003-06]', async () => {
    await mkdir(join(both.folder, 'agent'))
    await chmod(join(both.folder, 'agent'), 0o777)
    const agent = await both.run({ bootProbes: false })
    const { mode } = await stat(join(both.folder, 'agent'))
    expect(mode & 0o777).toBe(0o700)
    expect((await readdir(join(both.folder, 'agent'))).filter((name) => name.includes('lock'))).toContain('agent.lock')
    // Another identity of the same machine is not in its way.
    const other = await both.run({
      bootProbes: false,
      stateDir: join(both.folder, 'other'),
      enrolmentToken: await both.enrolmentToken(),
      engines: { user: { prefix: 'td-', uidRange: [674_000, 674_999], netRange: '198.19.246.0/24' } },
    })
    expect(other.hostId).not.toBe(agent.hostId)
    await other.stop()
  })

  it('replaces its key when asked, and works on; the old key is refused from then on', async () => {
    const agent = await both.run({ bootProbes: false })
    const { name } = agent
    const keyNow = async () =>
      (JSON.parse(await readFile(join(both.folder, 'agent', 'journal', 'identity.json'), 'utf8')) as { readonly key: string }).key
    const old = await keyNow()
    const seen = await until(async () => (await both.hostsOf()).find(({ state }) => state === 'up'))
    await both.api('POST', `/hosts/${name}/rotate-key`, undefined, { 'if-match': `"${seen.generation}"` })
    await until(async () => (await keyNow()) !== old)
    const rotated = await until(async () => {
      const { items } = await both.api<{ readonly items: readonly { readonly kind: string; readonly actor: string }[] }>(
        'GET',
        '/audit?limit=200',
      )
      return items.find(({ kind }) => kind === 'host.keyRotated')
    })
    expect(rotated.actor).toBe(`host:${name}`)
    const statusFor = async (key: string) =>
      (await fetch(`${both.controller.url}/api/v1/agent/blobs/${'0'.repeat(64)}`, { headers: { authorization: `Bearer ${key}` } })).status
    expect([await statusFor(old), await statusFor(await keyNow())]).toEqual([401, 404])
    const { id } = await both.api<JobView>('POST', '/jobs', { script: 'exit 0' })
    await agent.stop()
    await both.run()
    expect((await both.ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
  })

  it('hands over to a newer one that its service manager started too early: that waits for the lock, takes the job over, and never are there two [003-14] [003-18]', async () => {
    const asked = await both.options()
    const old = both.start(asked)
    await old.up
    const { id } = await both.api<JobView>('POST', '/jobs', {
      script: 'i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 4',
    })
    await until(async () => (await both.api<JobView>('GET', `/jobs/${id}`)).state === 'running', 60_000)
    const next = both.start({ ...asked, enrolmentToken: null, version: '2', lockWaitMs: 60_000 })
    await until(() => next.output().includes('waiting for the agent that runs now to end'))
    const whileBoth = await both.hostsOf()
    expect(whileBoth).toMatchObject([{ state: 'up', facts: { agentVersion: '1' } }])
    expect(next.output()).not.toContain('UP')
    old.stop()
    expect(await old.exit).toBe(0)
    await next.up
    await until(async () => (await both.hostsOf())[0]?.facts?.agentVersion === '2')
    const job = await both.ended(id)
    expect(job.outcome).toEqual({ kind: 'exited', code: 4 })
    expect(job.attempts).toHaveLength(1)
    expect((await both.logOf(id)).split('\n')).toHaveLength(61)
    expect((await both.hostsOf()).map(({ id }) => id)).toEqual(whileBoth.map(({ id }) => id))
    expect(both.log.lines.filter(({ message }) => message.includes('a second agent speaks'))).toEqual([])
    next.stop()
    expect(await next.exit).toBe(0)
  })

  it('refuses a second agent of one identity within a second, names the first, and takes over when that is gone [003-05] [003-07] [003-08] [003-20]', async () => {
    const first = both.start(await both.options({ bootProbes: false }))
    await first.up
    const startedAt = performance.now()
    const second = both.start(await both.options({ bootProbes: false }))
    expect(await second.exit).toBe(5)
    // The time of the refusal itself, without that of starting a second Node.
    expect(second.refusedMs()).toBeLessThan(1000)
    expect(performance.now() - startedAt).toBeLessThan(20_000)
    expect(second.output()).toContain('Another agent instance is already running')
    expect(second.output()).toContain(String(first.pid))
    expect(second.output()).toContain(join(both.folder, 'agent', 'agent.lock'))
    first.stop()
    expect(await first.exit).toBe(0)
    const third = both.start(await both.options({ bootProbes: false }))
    await third.up
    third.stop()
    expect(await third.exit).toBe(0)
  })
})
