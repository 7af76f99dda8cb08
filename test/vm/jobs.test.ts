import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JobView } from '../../src/model/api.ts'
import { ensureGoldenDisk } from '../../tools/golden-disk/build.js'
import { startFleet, type Fleet } from '../e2e/fleet.ts'
import { runCidery, type Finished } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'

const slots = 2
const jobLimit = 240_000

describe('jobs in machines of the qemu engine', () => {
  let fleet: Fleet

  beforeAll(async () => {
    const { disk } = await ensureGoldenDisk()
    fleet = await startFleet({ store: 'sqlite', name: 'machines', machines: { folder: dirname(disk), slots } })
  }, 300_000)

  afterAll(async () => {
    await fleet.remove()
  })

  /** Machines that are on the host now, whatever anybody says. */
  function machines(): readonly string[] {
    try {
      return readdirSync(join(fleet.directory, 'agent/engines/qemu/vms')).filter((name) => name.startsWith('att_'))
    } catch {
      return []
    }
  }

  function holderOf(id: string): number {
    const record = readFileSync(join(fleet.directory, `agent/engines/qemu/records/${id}.json`), 'utf8')
    return (JSON.parse(record) as { holder: { pid: number } }).holder.pid
  }

  async function submit(script: string): Promise<string> {
    const shape = { cpu: 1, memoryMiB: 256, diskMiB: 64 }
    const job = await fleet.api.post<JobView>('/jobs', {
      engine: 'qemu',
      image: 'debian',
      shape,
      network: 'none',
      command: ['/bin/sh', '-c', script],
    })
    return job.id
  }

  function view(id: string): Promise<JobView> {
    return fleet.api.get<JobView>(`/jobs/${id}`)
  }

  async function ended(id: string): Promise<JobView> {
    return waitFor(
      `the end of ${id}`,
      async () => {
        const job = await view(id)
        return job.state === 'ended' && job
      },
      jobLimit,
    )
  }

  async function running(id: string): Promise<string> {
    return waitFor(
      `${id} to run`,
      async () => (await fleet.api.text(`/jobs/${id}/log`)).includes('runs') && (machines()[0] ?? false),
      jobLimit,
    )
  }

  async function noMachines(): Promise<void> {
    await waitFor('all machines to be gone', () => machines().length === 0, 60_000)
  }

  it('gives each job a new machine, and deletes it after success, failure, cancel and a crash of the host’s part [002-84]', async () => {
    const look = 'ls -A ~ ~/work; touch ~/work/mark; echo runs'
    const clean = '/home/job:\ntmp\nwork\n\n/home/job/work:\nruns\n'
    const [good, bad] = [await submit(look), await submit(`${look}; exit 3`)]
    expect((await ended(good)).outcome).toEqual({ kind: 'exited', code: 0 })
    expect((await ended(bad)).outcome).toEqual({ kind: 'exited', code: 3 })
    await noMachines()
    const cancelled = await submit(`${look}; sleep 300`)
    await running(cancelled)
    await fleet.api.post(`/jobs/${cancelled}/cancel`)
    expect((await ended(cancelled)).outcome).toMatchObject({ kind: 'cancelled' })
    await noMachines()
    const crashed = await submit(`${look}; test -e /run/once || sleep 300`)
    const machine = await running(crashed)
    await fleet.killAgent()
    process.kill(holderOf(machine), 'SIGKILL')
    await fleet.startAgent()
    // Its second machine is new as well, so it sleeps again: what matters is that the first is gone, and that the job is tried again.
    const second = await waitFor('another machine', () => machines().find((id) => id !== machine) ?? false, jobLimit)
    expect(machines()).toEqual([second])
    await fleet.api.post(`/jobs/${crashed}/cancel`)
    const job = await ended(crashed)
    expect(job.attempts[0]?.outcome).toMatchObject({ kind: 'infrastructure' })
    await noMachines()
    for (const id of [good, bad, cancelled]) expect(await fleet.api.text(`/jobs/${id}/log`)).toBe(clean)
  })

  it('runs a matrix side by side up to the slots of the host, and queues the rest [002-86]', async () => {
    const jobs = await Promise.all([1, 2, 3, 4].map(() => submit('echo runs; sleep 3')))
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, machines().length)), 50)
    try {
      for (const id of jobs) expect((await ended(id)).outcome).toEqual({ kind: 'exited', code: 0 })
    } finally {
      clearInterval(watch)
    }
    expect(most).toBe(slots)
    await noMachines()
  })

  describe('as sandboxes of a person', () => {
    const cidery = async (...words: readonly string[]): Promise<Finished> =>
      runCidery(words, { env: { CIDERY_STATE: fleet.stateDir, CIDERY_URL: fleet.url } })

    it.each([
      ['user', [] as readonly string[]],
      ['qemu', ['--image', 'debian']],
    ])('takes the same verbs on the engine %s; what it cannot do it says [001-85] [002-94] [002-145]', async (engine, image) => {
      const name = `try-${engine}`
      const made = await cidery('vm', 'create', name, '--engine', engine, ...image)
      expect({ code: made.code, said: made.code === 0 ? '' : made.stderr }).toEqual({ code: 0, said: '' })
      expect((await cidery('vm', 'exec', name, '--', 'sh', '-c', 'echo kept >~/file')).code).toBe(0)
      expect((await cidery('vm', 'restart', name)).code).toBe(0)
      expect((await cidery('vm', 'exec', name, '--', 'sh', '-c', 'cat ~/file')).stdout.toString()).toBe('kept\n')
      expect((await cidery('vm', 'ls')).stdout.toString()).toMatch(new RegExp(`${name}.*running`))
      const [before, reset] = [await cidery('vm', 'show', name, '-o', 'name'), await cidery('vm', 'reset', name, '--yes')]
      expect({ code: reset.code, said: reset.code === 0 ? '' : reset.stderr }).toEqual({ code: 0, said: '' })
      expect((await cidery('vm', 'exec', name, '--', 'sh', '-c', 'ls ~/file')).code).not.toBe(0)
      expect((await cidery('vm', 'show', name, '-o', 'name')).stdout).toEqual(before.stdout)
      expect((await cidery('vm', 'logs', name)).stdout.toString()).toMatch(/sandboxCreate[\s\S]*sandboxStop[\s\S]*sandboxStart/)
      expect((await cidery('vm', 'stop', name)).code).toBe(0)
      const snapshot = await cidery('vm', 'snapshot', name, 'before')
      expect(snapshot.code).not.toBe(0)
      expect(snapshot.stderr).toMatch(/snapshot/)
      expect((await cidery('vm', 'start', name)).code).toBe(0)
      expect((await cidery('vm', 'rm', name, '--yes')).code).toBe(0)
      await waitFor(`${name} to be gone`, async () => !(await cidery('vm', 'ls')).stdout.toString().includes(name), 60_000)
    })
  })
})
