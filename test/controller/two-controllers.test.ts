import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { z } from 'zod'
import type { ControllerView, HostView, JobView } from '../../src/model/api.ts'
import type { StreamPeer } from '../../src/ports/agent.ts'
import type { Api } from '../e2e/api.ts'
import { copyKeys } from '../e2e/fleet-controller.ts'
import { runCidery } from '../e2e/processes.ts'
import { waitFor } from '../e2e/wait.ts'
import { startPostgres } from '../store/postgres-server.ts'
import { controllerProcess, type ControllerProcess } from './controller-process.ts'

const postgres = await startPostgres()
afterAll(() => postgres.stop())

let directory: string
let storeUrl: string
let one: ControllerProcess
let two: ControllerProcess

/** `two` has its own state directory, with the keys of `one`, as an operator would copy them. */
beforeEach(async () => {
  storeUrl = await postgres.createDatabase()
  directory = await mkdtemp(join(tmpdir(), 'cidery-two-'))
  const options = { env: { CIDERY_STORE_URL: storeUrl }, words: ['--blobs', join(directory, 'blobs')] }
  one = await controllerProcess(options)
  two = await controllerProcess(options)
  await one.start()
  await copyKeys(one.state, two.state)
  await two.start()
})

afterEach(async () => {
  await two.remove()
  await one.remove()
  await rm(directory, { recursive: true, force: true })
})

type JobWaiting = z.infer<typeof JobView>['waiting']

const view = (api: Api): Promise<z.infer<typeof ControllerView>> => api.get('/controller')
const job = (api: Api, id: string): Promise<z.infer<typeof JobView>> => api.get(`/jobs/${id}`)
const ended = (api: Api, id: string): Promise<z.infer<typeof JobView>> =>
  waitFor(`the job ${id} to end`, async () => {
    const found = await job(api, id)
    return found.state === 'ended' ? found : null
  })
const isUp = (api: Api, name: string): Promise<unknown> =>
  waitFor(`${name} to be up`, async () => (await api.get<z.infer<typeof HostView>>(`/hosts/${name}`)).state === 'up')

describe('two controllers on one PostgreSQL', { timeout: 240_000 }, () => {
  it('serve alike: what is done at one is seen, decided and followed at the other', async () => {
    expect([await view(one.api), await view(two.api)]).toMatchObject([
      { leads: true, epoch: 1 },
      { leads: false, epoch: 1 },
    ])
    // The host enrols at the one that leads, the other at the one that follows.
    await one.agent('mini-1')
    await isUp(two.api, 'mini-1')
    const first = await two.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'] })
    const log = two.api.text(`/jobs/${first.id}/log?follow=1`)
    expect(await ended(one.api, first.id)).toMatchObject({ outcome: { kind: 'exited', code: 0 } })
    expect(await log).toBe(await one.api.text(`/jobs/${first.id}/log`))
    await two.agent('mini-2')
    await isUp(one.api, 'mini-2')

    const { generation } = await two.api.get<z.infer<typeof HostView>>('/hosts/mini-1')
    await two.api.post('/hosts/mini-1/cordon', {}, { 'if-match': `"${generation}"` })
    const second = await one.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'] })
    expect(await ended(two.api, second.id)).toMatchObject({ attempts: [{ hostName: 'mini-2' }] })

    const waiting = await one.api.post<z.infer<typeof JobView>>('/jobs', { command: ['true'], labels: { never: 'there' } })
    const reasonsAt = (api: Api): Promise<JobWaiting> =>
      waitFor('a reason', async () => {
        const { waiting: reasons } = await job(api, waiting.id)
        return reasons.length > 0 ? reasons : null
      })
    expect(await reasonsAt(two.api)).toEqual(await reasonsAt(one.api))
    expect(await two.api.get('/audit/verify')).toMatchObject({ ok: true })
  })

  it('put a spec into force together, whichever was asked', async () => {
    const source = 'version: 1\npools: { default: {} }\nqueues: { night: {} }\n'
    const current = await two.api.get<{ generation: number }>('/spec')
    const answer = await fetch(`${two.url}/api/v1/spec`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${two.token()}`, 'content-type': 'application/json', 'if-match': `"${current.generation}"` },
      body: JSON.stringify({ source }),
    })
    expect(answer.status).toBe(200)
    await waitFor('the spec at the other', async () => {
      const { items } = await one.api.get<{ items: readonly { name: string }[] }>('/queues')
      return items.map(({ name }) => name).join() === 'night'
    })
  })

  it('move the lead when the leader is killed; agents and people go on at the other', async () => {
    const agent = await one.agent('mini-1', { urls: `${one.url},${two.url}` })
    await isUp(two.api, 'mini-1')
    await one.kill()
    await waitFor('the other to lead', async () => (await view(two.api)).leads)
    expect(await view(two.api)).toMatchObject({ epoch: 2 })
    const cli = await runCidery(['job', 'submit', '--output', 'name', '--', 'true'], {
      env: { CIDERY_URL: `${one.url},${two.url}`, CIDERY_TOKEN: two.token() },
    })
    expect(cli.stderr).toBe('')
    expect(await ended(two.api, cli.stdout.toString().trim())).toMatchObject({ outcome: { kind: 'exited' } })
    expect(agent.answers.at(-1)?.epoch).toBe(2)
    await one.start()
    expect(await view(one.api)).toMatchObject({ leads: false, epoch: 2 })
  })

  it('bring a shell to the host, whichever of them it polls', async () => {
    const agent = await one.agent('mini-1', { urls: `${one.url},${two.url}`, keepsSandboxes: true })
    await isUp(two.api, 'mini-1')
    const { id } = await two.api.post<{ id: string }>('/sandboxes', { name: 'mine', host: 'mini-1' })
    await waitFor('the sandbox to run', async () => (await two.api.get<{ state: string }>(`/sandboxes/${id}`)).state === 'running')
    const { streamId } = await two.api.post<{ streamId: string }>(`/sandboxes/${id}/streams`, { command: ['sh'], tty: false })
    const person = new WebSocket(`${two.url.replace('http', 'ws')}/api/v1/streams/${streamId}`, {
      headers: { authorization: `Bearer ${two.token()}` },
    })
    const got: string[] = []
    person.on('message', (data: Buffer, isBinary: boolean) => isBinary && got.push(data.toString()))
    await waitFor('the host to hear of it', () =>
      agent.answers.some(({ desired }) => desired?.streams.some((stream) => stream.id === streamId)),
    )
    const peer: StreamPeer = {
      onInput: async () => undefined,
      onInputEnd: () => undefined,
      onResize: () => undefined,
      onClosed: () => undefined,
      start: (output) => void output.write(Buffer.from('hello')).then(() => output.exit(0, null)),
    }
    await agent.link.attachStream(streamId, peer)
    expect(got).toEqual(['hello'])
    person.terminate()
  })

  it('are refused with keys or blobs of their own, by name and with the cure', async () => {
    await two.stop()
    const start = (state: string, blobs: string) =>
      runCidery(['controller', 'run', '--state', state, '--listen', '127.0.0.1:0', '--blobs', blobs], {
        env: { CIDERY_STORE_URL: storeUrl },
        deadlineMs: 90_000,
      })
    const otherKeys = await start(join(directory, 'stranger'), join(directory, 'blobs'))
    expect(otherKeys.code).not.toBe(0)
    expect(otherKeys.stderr).toContain('keys/journal.key of this state directory is not the one of the other controllers')
    expect(otherKeys.stderr).toContain("copy keys/ and tls/ from another controller's state directory")
    const otherBlobs = await start(two.state, join(directory, 'mine alone'))
    expect(otherBlobs.code).not.toBe(0)
    expect(otherBlobs.stderr).toContain('the blobs of this controller are not those of the other controllers')
    expect(otherBlobs.stderr).toContain('mount one shared folder on every controller and name it with --blobs')
    expect(await view(one.api)).toMatchObject({ leads: true, epoch: 1 })
  })
})
