import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import type { HostView, JobView, OperationView } from '../../src/model/api.ts'
import type { Script } from '../doubles/simulated-agent.ts'
import { allJobs } from '../e2e/api.ts'
import { runCidery } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'
import { startPostgres, type PostgresServer } from '../store/postgres-server.ts'
import { controllerProcess, type ControllerProcess } from './controller-process.ts'

let controller: ControllerProcess | undefined

async function start(options: Parameters<typeof controllerProcess>[0] = {}): Promise<ControllerProcess> {
  controller = await controllerProcess(options)
  await controller.start()
  return controller
}

afterEach(async () => {
  await controller?.remove()
  controller = undefined
})

const isEnded = async (of: ControllerProcess, id: string): Promise<z.infer<typeof JobView> | null> => {
  const job = await of.api.get<z.infer<typeof JobView>>(`/jobs/${id}`)
  return job.state === 'ended' ? job : null
}

describe('a controller process', () => {
  it('keeps its state for its owner alone, says where it is, and ends cleanly on SIGTERM', async () => {
    const { state, url, api, stop } = await start()
    for (const [path, mode] of [
      ['', 0o700],
      ['keys', 0o700],
      ['admin.token', 0o600],
      ['admin.password', 0o600],
      ['state.db', 0o600],
      ['controller.json', 0o600],
    ] as const) {
      expect([path, (await stat(join(state, path))).mode & 0o777]).toEqual([path, mode])
    }
    expect(JSON.parse(await readFile(join(state, 'controller.json'), 'utf8'))).toMatchObject({ url, caFingerprint: null })
    expect(await api.get('/controller')).toMatchObject({ leads: true, epoch: 1, store: 'sqlite', loop: { problem: null } })
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ ready: true, reasons: [] })
    expect(await stop()).toBe(0)
    await expect(stat(join(state, 'controller.json'))).rejects.toThrow('ENOENT')
    expect(await controller?.log()).toContain('the controller ended')
  })

  it('is the only one on its state directory: a second one is refused and names the first', async () => {
    const first = await start()
    const second = await runCidery(['controller', 'run', '--state', first.state, '--listen', '127.0.0.1:0'], { deadlineMs: 60_000 })
    expect(second.code).not.toBe(0)
    expect(second.stderr).toContain('Another controller is already running')
    expect(second.stderr).toContain(String(first.pid()))
    expect((await fetch(`${first.url}/readyz`)).status).toBe(200)
  })

  it('applies its spec file again when it changes, without a restart, and keeps the old one when the new one is wrong', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cidery-spec-'))
    const file = join(directory, 'cidery.yaml')
    const write = (queue: string): Promise<void> => writeFile(file, `version: 1\npools: { default: {} }\nqueues: { ${queue}: {} }\n`)
    await write('first')
    const again = await start({ words: ['--spec', file] })
    const names = async (): Promise<string[]> =>
      (await again.api.get<{ items: { name: string }[] }>('/queues')).items.map(({ name }) => name)
    expect(await names()).toEqual(['first'])
    const { pid } = again
    const before = pid()
    await write('second')
    await waitFor('the second spec', async () => (await names())[0] === 'second')
    await writeFile(file, 'version: 1\nqueues: { third: { maxQueud: 3 } }\n')
    await waitFor('the refusal', async () => (await again.log()).includes('the spec file could not be applied'))
    expect(await names()).toEqual(['second'])
    expect(pid()).toBe(before)
    await rm(directory, { recursive: true })
  })
})

describe.each(['sqlite', 'postgres'] as const)('a controller on %s that is killed', (kind) => {
  let postgres: PostgresServer | undefined

  beforeAll(async () => {
    if (kind === 'postgres') postgres = await startPostgres()
  })

  afterAll(async () => {
    await postgres?.stop()
  })

  async function started(): Promise<ControllerProcess> {
    const env = postgres === undefined ? {} : { CIDERY_STORE_URL: await postgres.createDatabase() }
    return start({ env })
  }

  it('loses no accepted job and no byte of log, runs each job once, and its journal verifies', async () => {
    const of = await started()
    const script: Script = async ({ reach, write, sleep: pause, desired }) => {
      reach('running')
      const code = Number(desired.job.spec.command?.[1])
      for (let line = 0; line < 20; line += 1) {
        await write(`job ${code} line ${line}\n`)
        await pause(60)
      }
      return { kind: 'exited', code }
    }
    const agents = [await of.agent('mini-1', { script, slots: 3 }), await of.agent('mini-2', { script, slots: 3 })]
    const accepted = new Map<string, number>()
    let submitting = true
    const submitter = (async () => {
      for (let code = 0; code < 24; code += 1) {
        const headers = { 'idempotency-key': `job-${code}` }
        // What is not answered is sent again, as every client does.
        const job = await waitFor(`job ${code} to be accepted`, () =>
          of.api.post<z.infer<typeof JobView>>('/jobs', { command: ['exit', String(code)] }, headers),
        )
        accepted.set(job.id, code)
        await sleep(60)
      }
      submitting = false
    })()
    for (let kills = 0; kills < 3; kills += 1) {
      await sleep(700 + kills * 333)
      await of.kill()
      await of.start()
    }
    await submitter
    expect(submitting).toBe(false)
    for (const [id, code] of accepted) {
      const job = await waitFor(`job ${code} to end`, () => isEnded(of, id), 90_000)
      expect(job).toMatchObject({ outcome: { kind: 'exited', code } })
      expect(job.attempts).toHaveLength(1)
      const lines = Array.from({ length: 20 }, (_, line) => `job ${code} line ${line}\n`).join('')
      expect(await of.api.text(`/jobs/${id}/log`)).toBe(lines)
    }
    expect(await allJobs(of.api)).toHaveLength(24)
    expect(agents.flatMap(({ begun }) => begun)).toHaveLength(24)
    await waitFor('the journal to be sealed', async () => {
      const events = await of.api.get<{ items: { kind: string }[] }>('/audit?limit=500')
      return events.items.filter(({ kind: of_ }) => of_ === 'job.ended').length === 24
    })
    expect(await of.api.get('/audit/verify')).toMatchObject({ ok: true, problem: null })
  })

  it('has its hosts, commands and states after the restart, and reconciles the command with its agent [003-41]', async () => {
    const of = await started()
    let finish: () => void = () => undefined
    await of.agent('mini-1', {
      operation: async (_operation, say) => {
        say({ state: 'EXECUTING', pid: 77 })
        await new Promise<void>((resolve) => (finish = resolve))
        say({ state: 'SUCCESS', exitCode: 0, outputTail: 'done\n' })
      },
    })
    await waitFor('the host', async () => (await of.api.get<z.infer<typeof HostView>>('/hosts/mini-1')).state === 'up')
    const asked = await of.api.post<z.infer<typeof OperationView>>('/hosts/mini-1/operations', { request: { kind: 'probe' } })
    const view = (): Promise<z.infer<typeof OperationView>> => of.api.get(`/operations/${asked.id}`)
    await waitFor('the command to run', async () => (await view()).state === 'EXECUTING')
    const before = await view()
    await of.kill()
    await of.start()
    expect(await view()).toEqual(before)
    expect(await of.api.get('/hosts/mini-1')).toMatchObject({ state: 'up', operation: { id: asked.id, pid: 77 } })
    await expect(of.api.post('/hosts/mini-1/operations', { request: { kind: 'clean' } })).rejects.toThrow('OPERATION_RUNNING')
    await of.kill()
    finish()
    await of.start()
    const done = await waitFor('the end of the command', async () => ((await view()).state === 'SUCCESS' ? view() : null))
    expect(done).toMatchObject({ exitCode: 0, outputTail: 'done\n' })
  })

  it('lets a log be followed across its death without losing or repeating a byte [002-89]', async () => {
    const of = await started()
    await of.agent('mini-1', {
      script: async ({ reach, write, sleep: pause }) => {
        reach('running')
        for (let line = 0; line < 60; line += 1) {
          await write(`line ${line}\n`)
          await pause(50)
        }
        return { kind: 'signalled', signal: 11 }
      },
    })
    const job = await of.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'] })
    let text = ''
    let cuts = 0
    const following = (async () => {
      for (;;) {
        try {
          const answer = await fetch(`${of.url}/api/v1/jobs/${job.id}/log?follow=1&offset=${Buffer.byteLength(text)}`, {
            headers: { authorization: `Bearer ${of.token()}` },
          })
          if (answer.body !== null) for await (const bytes of answer.body) text += Buffer.from(bytes as Uint8Array).toString()
          if (answer.headers.get('x-cidery-attempt') !== '0') return
        } catch {
          // The controller went away in the middle: what came is kept, the rest is asked for.
          cuts += 1
          await sleep(100)
        }
      }
    })()
    await waitFor('the first lines', () => text.length > 50)
    await of.kill()
    await of.start()
    await following
    expect(cuts).toBeGreaterThan(0)
    expect(text).toBe(Array.from({ length: 60 }, (_, line) => `line ${line}\n`).join(''))
    // The exact end came through though the stream broke.
    expect(await waitFor('the end', () => isEnded(of, job.id))).toMatchObject({ outcome: { kind: 'signalled', signal: 11 }, exitCode: 139 })
  })
})

describe('a parked poll', () => {
  it('is answered within 100 ms of a change of what its host should look like', async () => {
    const of = await start()
    const agent = await of.agent('mini-1')
    await waitFor('the host', async () => (await of.api.get<z.infer<typeof HostView>>('/hosts/mini-1')).state === 'up')
    const waits: number[] = []
    for (let round = 0; round < 15; round += 1) {
      // The agent is given time to park again.
      await sleep(100)
      const answered = agent.answers.length
      const { generation } = await of.api.get<z.infer<typeof HostView>>('/hosts/mini-1')
      const startedAt = performance.now()
      const verb = round % 2 === 0 ? 'cordon' : 'uncordon'
      await of.api.post(`/hosts/mini-1/${verb}`, verb === 'cordon' ? { reason: '' } : {}, { 'if-match': `"${generation}"` })
      while (performance.now() - startedAt < 5000 && !agent.answers.slice(answered).some(({ desired }) => desired !== null)) await sleep(1)
      waits.push(performance.now() - startedAt)
    }
    // From before the request that changes it; half of them, so that a busy machine does not decide.
    const median = waits.toSorted((a, b) => a - b)[7] ?? Number.POSITIVE_INFINITY
    console.log(`from request to answered poll: median ${median.toFixed(1)} ms`)
    expect(median).toBeLessThan(100)
  })
})

describe('a log of 100 MB', () => {
  it('passes through the controller in bounded memory, also past a reader that does not read', async () => {
    const of = await start()
    const piece = Buffer.alloc(1024 * 1024, 'a line of sixty-three characters, again and again and again ..\n')
    const hash = createHash('sha256')
    await of.agent('mini-1', {
      script: async ({ reach, write }) => {
        reach('running')
        for (let count = 0; count < 100; count += 1) {
          hash.update(piece)
          await write(piece)
        }
        return { kind: 'exited', code: 0 }
      },
    })
    const memory = async (): Promise<number> =>
      Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${of.pid()}/status`, 'utf8'))?.[1]) * 1024
    const before = await memory()
    const job = await of.api.post<z.infer<typeof JobView>>('/jobs', { command: ['flood'] })
    const slow = await fetch(`${of.url}/api/v1/jobs/${job.id}/log?follow=1`, { headers: { authorization: `Bearer ${of.token()}` } })
    let highest = before
    await waitFor('the end of the flood', async () => {
      highest = Math.max(highest, await memory())
      return isEnded(of, job.id)
    })
    highest = Math.max(highest, await memory())
    const read = createHash('sha256')
    if (slow.body !== null) for await (const bytes of slow.body) read.update(bytes)
    highest = Math.max(highest, await memory())
    expect(read.digest('hex')).toBe(hash.digest('hex'))
    expect(highest - before).toBeLessThan(80 * 1024 * 1024)
  })
})
