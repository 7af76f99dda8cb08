import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { minute } from '../../src/model/instant.ts'
import type { Outcome } from '../../src/model/job.ts'
import type { AttemptReport } from '../../src/model/sync.ts'
import { logName } from '../../src/serve/logs.ts'
import type { FleetOptions } from '../doubles/controller-fleet.ts'
import { plainSync } from '../doubles/plain-sync.ts'
import type { Script } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'
import { startFleetApi, type FleetApi } from './fleet-api.ts'

let api: FleetApi

async function start(options: FleetOptions = {}): Promise<FleetApi> {
  api = await startFleetApi(options)
  return api
}

afterEach(async () => {
  expect(api.fleet.faults).toEqual([])
  await api.close()
})

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const job = { command: ['make'] }

async function uploaded(bytes: Uint8Array, path = '/uploads', as?: string): Promise<string> {
  const digest = sha256(bytes)
  const who = as === undefined ? {} : { as }
  const begun = await api.call('POST', path, { ...who, body: { sizeBytes: bytes.length, digest } })
  expect(begun.status).toBe(201)
  await api.call('PATCH', `${path}/${begun.body.id}?offset=0`, { ...who, bytes })
  expect(await api.call('POST', `${path}/${begun.body.id}/finish`, who)).toMatchObject({ status: 200, body: { digest } })
  return digest
}

describe('submitting a job', () => {
  it('fills in the defaults of its queue, and says at once why it waits and what to do [002-95]', async () => {
    await start({ spec: { queues: { default: { timeout: '2m', shape: { cpu: 2, memoryMiB: 512, diskMiB: 1024 } } } } })
    const made = await api.call('POST', '/jobs', { body: job })
    expect(made).toMatchObject({
      status: 201,
      headers: { etag: '"1"' },
      body: { state: 'queued', timeoutS: 120, shape: { cpu: 2 }, exitCode: null, name: 'make' },
    })
    await api.fleet.time.advance(100)
    const nobody = await api.call('GET', `/jobs/${made.body.id}`)
    expect(nobody.body.waiting[0]).toMatchObject({ code: 'noHosts', cure: expect.stringContaining('cidery host add') })
    await api.fleet.agent('mini-1')
    await api.fleet.ended(made.body.id)
    const picky = await api.call('POST', '/jobs', { body: { ...job, labels: { xcode: '16' } } })
    await api.fleet.time.advance(100)
    const why = await api.call('GET', `/explain/job/${picky.body.id}`)
    expect(why.body).toMatchObject({ subject: `job/${picky.body.id}`, summary: expect.stringContaining('xcode=16') })
    expect(why.body.waiting[0]).toMatchObject({ code: 'noMatch', message: expect.stringContaining('xcode=16') })
    expect(why.body.waiting[0]?.cure).not.toBe('')
    const queue = await api.call('GET', '/queues/default')
    expect(queue.body).toMatchObject({ queued: 1, waiting: [{ code: 'noMatch', jobCount: 1 }] })
  })

  it('makes one job however often the same request comes with the same key', async () => {
    await start()
    const headers = { 'idempotency-key': 'a-key' }
    const answers = await Promise.all([1, 2, 3, 4].map(() => api.call('POST', '/jobs', { body: job, headers })))
    const again = await api.call('POST', '/jobs', { body: job, headers })
    const ids = new Set([...answers, again].map(({ body }) => body.id))
    expect(ids.size).toBe(1)
    expect(again).toMatchObject({ status: 201, headers: { 'idempotency-replayed': 'true' } })
    expect((await api.call('GET', '/jobs')).body.items).toHaveLength(1)
    expect(await api.call('POST', '/jobs', { body: { command: ['other'] }, headers })).toMatchObject({
      status: 409,
      body: { code: 'IDEMPOTENCY_MISMATCH' },
    })
  })

  it('is refused when the queue is full, and taken again when there is room', async () => {
    await start({ spec: { queues: { default: { maxQueued: 2 } } } })
    const first = await api.call('POST', '/jobs', { body: job })
    await api.call('POST', '/jobs', { body: job })
    expect(await api.call('POST', '/jobs', { body: job })).toMatchObject({
      status: 429,
      body: { code: 'QUEUE_FULL', details: { maxQueued: 2 } },
    })
    await api.call('POST', `/jobs/${first.body.id}/cancel`)
    expect((await api.call('POST', '/jobs', { body: job })).status).toBe(201)
  })

  it('is refused with 507 while the disk is below its floor, and the running jobs end as they do', async () => {
    let free = 100 * 1024 ** 3
    await start({ free: () => free })
    await api.fleet.agent('mini-1', {
      script: async ({ reach, sleep, write }) => {
        reach('running')
        await sleep(5000)
        await write('the last words\n')
        return { kind: 'exited', code: 0 }
      },
    })
    const running = await api.call('POST', '/jobs', { body: job })
    await api.fleet.until(async () => (await api.fleet.job(running.body.id)).state === 'running')
    free = 1024
    expect(await api.call('POST', '/jobs', { body: job })).toMatchObject({ status: 507, body: { code: 'STORAGE_FULL' } })
    expect((await api.call('POST', '/uploads', { body: { sizeBytes: 10, digest: sha256(Buffer.from('x')) } })).status).toBe(507)
    expect((await api.fleet.ended(running.body.id)).outcome).toEqual({ kind: 'exited', code: 0 })
    expect((await api.call('GET', `/jobs/${running.body.id}/log`)).text).toBe('the last words\n')
  })

  it('names the field of what it cannot take, and keeps to the queues of the credential', async () => {
    await start({ spec: { queues: { default: {}, release: {} } } })
    expect(await api.call('POST', '/jobs', { body: { command: ['a'], script: 'b' } })).toMatchObject({
      status: 400,
      body: { code: 'INVALID_INPUT' },
    })
    expect(await api.call('POST', '/jobs', { body: { command: ['a'], queue: 'relese' } })).toMatchObject({
      status: 400,
      body: { problems: [{ path: 'queue', accepted: ['default', 'release'] }] },
    })
    const operator = await api.tokenOf('operator', ['default'])
    expect((await api.call('POST', '/jobs', { as: operator, body: { ...job, queue: 'release' } })).status).toBe(403)
    const made = await api.call('POST', '/jobs', { body: { ...job, queue: 'release' } })
    expect((await api.call('POST', `/jobs/${made.body.id}/cancel`, { as: operator })).status).toBe(403)
    expect((await api.call('POST', '/jobs', { as: operator, body: job })).status).toBe(201)
    const viewer = await api.tokenOf('viewer')
    expect((await api.call('POST', '/jobs', { as: viewer, body: job })).status).toBe(403)
  })

  it('pages through many jobs, newest first, without losing or repeating one', async () => {
    await start()
    const made: string[] = []
    for (let count = 0; count < 25; count += 1) {
      made.push((await api.call('POST', '/jobs', { body: job })).body.id)
      await api.fleet.time.advance(1)
    }
    const seen: string[] = []
    let cursor = ''
    do {
      const page = await api.call('GET', `/jobs?limit=7${cursor === '' ? '' : `&cursor=${cursor}`}`)
      seen.push(...page.body.items.map(({ id }) => id))
      cursor = (page.body['nextCursor'] as string | null) ?? ''
    } while (cursor !== '')
    expect(seen).toEqual(made.toReversed())
    expect((await api.call('GET', '/jobs?cursor=nonsense')).status).toBe(400)
    expect((await api.call('GET', '/jobs?state=queued&queue=default&limit=500')).body.items).toHaveLength(25)
  })
})

describe('a job that ended', () => {
  it.each([
    [{ kind: 'exited', code: 42 }, 42],
    [{ kind: 'signalled', signal: 11 }, 139],
    [{ kind: 'timedOut', afterS: 5 }, 124],
  ] as const)('shows %j as the exit code %i, with the time of each step [002-90]', async (outcome, exitCode) => {
    await start()
    const script: Script = async ({ reach, sleep }) => {
      for (const state of ['booting', 'preparing', 'sourceReady', 'running', 'collecting', 'cleaning'] as const) {
        reach(state)
        await sleep(1000)
      }
      return outcome
    }
    await api.fleet.agent('mini-1', { script })
    const { body } = await api.call('POST', '/jobs', { body: job })
    await api.fleet.ended(body.id)
    const view = (await api.call('GET', `/jobs/${body.id}`)).body
    expect(view).toMatchObject({
      state: 'ended',
      outcome,
      exitCode,
      stepMs: { boot: 1000, source: 1000, prepare: 1000, run: 1000, collect: 1000, clean: 1000 },
    })
    expect(Object.keys(view['stepMs'] as object).toSorted()).toEqual(['boot', 'clean', 'collect', 'prepare', 'queue', 'run', 'source'])
  })

  it('can be run again, and only then', async () => {
    await start()
    const { body } = await api.call('POST', '/jobs', { body: job })
    expect(await api.call('POST', `/jobs/${body.id}/rerun`)).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
    await api.fleet.agent('mini-1')
    await api.fleet.ended(body.id)
    const again = await api.call('POST', `/jobs/${body.id}/rerun`)
    expect(again).toMatchObject({ status: 201, body: { spec: body['spec'] } })
    expect(again.body.id).not.toBe(body.id)
  })

  it('is answered with 404 when there is no such job', async () => {
    await start()
    const gone = 'job_00000000000000000000000000'
    for (const path of [`/jobs/${gone}`, `/jobs/${gone}/log`, `/jobs/${gone}/artifacts`, `/explain/job/${gone}`]) {
      expect(await api.call('GET', path)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
    }
  })
})

describe('the log of a job', () => {
  const words = Array.from({ length: 50 }, (_, line) => `line ${line}\n`).join('')

  async function loggedJob(): Promise<string> {
    await api.fleet.agent('mini-1', {
      script: async ({ reach, write, sleep }) => {
        reach('running')
        for (const line of words.match(/.*\n/g) ?? []) {
          await write(line)
          await sleep(50)
        }
        return { kind: 'exited', code: 0 }
      },
    })
    return (await api.call('POST', '/jobs', { body: job })).body.id
  }

  it('is read from any offset, byte for byte, and names its attempt', async () => {
    await start()
    const id = await loggedJob()
    await api.fleet.ended(id)
    const whole = await api.call('GET', `/jobs/${id}/log`)
    expect(whole).toMatchObject({
      status: 200,
      text: words,
      headers: { 'x-cidery-attempt': '1', 'content-type': 'text/plain; charset=utf-8' },
    })
    expect((await api.call('GET', `/jobs/${id}/log?offset=100`)).text).toBe(words.slice(100))
    expect((await api.call('GET', `/jobs/${id}/log?offset=${words.length + 5}`)).text).toBe('')
    const window = await api.call('GET', `/jobs/${id}/log?offset=100&bytes=50`)
    expect([window.text, window.headers['x-cidery-log-length']]).toEqual([words.slice(100, 150), String(words.length)])
    expect((await api.call('GET', `/jobs/${id}/log?offset=${words.length - 5}&bytes=50`)).text).toBe(words.slice(-5))
    expect((await api.call('GET', `/jobs/${id}/log?bytes=0`)).status).toBe(400)
    expect((await api.call('GET', `/jobs/${id}/log?attempt=2`)).status).toBe(404)
  })

  it('is followed from before its job is assigned until it is complete', async () => {
    await start()
    const { body } = await api.call('POST', '/jobs', { body: job })
    const following = api.call('GET', `/jobs/${body.id}/log?follow=1`)
    await api.fleet.time.advance(1000)
    await api.fleet.agent('mini-1', {
      script: async ({ write, sleep }) => {
        await write('one\n')
        await sleep(3000)
        await write('two\n')
        return { kind: 'exited', code: 0 }
      },
    })
    let text = ''
    void following.then((answer) => (text = answer.text))
    await api.fleet.until(async () => text !== '')
    expect(text).toBe('one\ntwo\n')
  })

  it('answers a follower of a job that gets no attempt for long with nothing, so that it asks again', async () => {
    await start()
    const { body } = await api.call('POST', '/jobs', { body: job })
    let answer: Awaited<ReturnType<FleetApi['call']>> | undefined
    void api.call('GET', `/jobs/${body.id}/log?follow=1`).then((got) => (answer = got))
    await api.fleet.until(async () => answer !== undefined)
    expect(the(answer)).toMatchObject({ status: 200, text: '', headers: { 'x-cidery-attempt': '0' } })
  })

  it('is over for a follower when it is not kept any more, though its attempt is', async () => {
    await start()
    const id = await loggedJob()
    await api.fleet.ended(id)
    const attempt = the((await api.fleet.attempts(id))[0])
    await api.fleet.blobs.remove(logName(attempt.id))
    await api.fleet.time.advance(minute)
    let answer: Awaited<ReturnType<FleetApi['call']>> | undefined
    void api.call('GET', `/jobs/${id}/log?follow=1`).then((got) => (answer = got))
    await api.fleet.until(async () => answer !== undefined)
    expect(the(answer)).toMatchObject({ status: 200, text: '', headers: { 'x-cidery-log-length': '0' } })
  })

  it('belongs to one host: another may neither write nor end it', async () => {
    await start()
    const id = await loggedJob()
    await api.fleet.until(async () => (await api.fleet.job(id)).state === 'running')
    const attempt = the((await api.fleet.attempts(id))[0])
    const stranger = await api.keyOf(await api.fleet.enrol('mini-2'))
    const path = `/agent/attempts/${attempt.id}`
    expect((await api.call('PUT', `${path}/log?offset=0`, { as: stranger, bytes: Buffer.from('lies') })).status).toBe(404)
    expect((await api.call('POST', `${path}/log/finish`, { as: stranger, body: { length: 0 } })).status).toBe(404)
    expect((await api.call('GET', `${path}/secrets`, { as: stranger })).status).toBe(404)
    const own = await api.keyOf(attempt.hostId)
    expect(await api.call('PUT', `${path}/log?offset=999999`, { as: own, bytes: Buffer.from('x') })).toMatchObject({
      status: 416,
      body: { code: 'OFFSET_MISMATCH' },
    })
    await api.fleet.ended(id)
    expect((await api.call('GET', `${path}/secrets`, { as: own })).status).toBe(403)
  })

  it('is cut at its limit: what goes beyond is refused', async () => {
    await start({ spec: { limits: { jobLog: '1KiB' } } })
    await api.fleet.agent('mini-1', { script: async ({ cancelled }) => ({ kind: 'cancelled', by: await cancelled }) })
    const { body } = await api.call('POST', '/jobs', { body: job })
    await api.fleet.until(async () => (await api.fleet.attempts(body.id)).length === 1)
    const attempt = the((await api.fleet.attempts(body.id))[0])
    const own = await api.keyOf(attempt.hostId)
    const flood = await api.call('PUT', `/agent/attempts/${attempt.id}/log?offset=0`, { as: own, bytes: Buffer.alloc(200_000, 'x') })
    expect(flood).toMatchObject({ status: 413, body: { code: 'PAYLOAD_TOO_LARGE' } })
    await api.call('POST', `/jobs/${body.id}/cancel`)
    await api.fleet.ended(body.id)
  })
})

describe('uploads', () => {
  it('resume at the offset that is held, survive repeats, and end only when size and digest are right', async () => {
    await start()
    const bytes = Buffer.from('0123456789'.repeat(1000))
    const digest = sha256(bytes)
    const begun = await api.call('POST', '/uploads', { body: { sizeBytes: bytes.length, digest } })
    expect(begun.body).toMatchObject({ offset: 0, complete: false })
    const at = `/uploads/${begun.body.id}`
    expect((await api.call('PATCH', `${at}?offset=0`, { bytes: bytes.subarray(0, 4000) })).body).toMatchObject({ offset: 4000 })
    expect(await api.call('PATCH', `${at}?offset=5000`, { bytes: bytes.subarray(5000) })).toMatchObject({
      status: 416,
      body: { details: { offset: 4000 } },
    })
    expect((await api.call('POST', `${at}/finish`)).status).toBe(416)
    // A new beginning of the same bytes finds what is held.
    expect((await api.call('POST', '/uploads', { body: { sizeBytes: bytes.length, digest } })).body).toEqual({
      id: begun.body.id,
      offset: 4000,
      complete: false,
    })
    expect((await api.call('PATCH', `${at}?offset=3000`, { bytes: bytes.subarray(3000) })).body).toMatchObject({
      offset: 10_000,
      complete: true,
    })
    expect((await api.call('PATCH', `${at}?offset=10000`, { bytes: Buffer.from('more') })).status).toBe(413)
    expect(await api.call('POST', `${at}/finish`)).toMatchObject({ status: 200, body: { digest } })
    expect((await api.call('POST', '/uploads', { body: { sizeBytes: bytes.length, digest } })).body).toMatchObject({ complete: true })
  })

  it('are refused when their bytes are not those that were announced, or too many', async () => {
    await start({ spec: { limits: { uploadBytes: '1KiB' } } })
    const begun = await api.call('POST', '/uploads', { body: { sizeBytes: 4, digest: sha256(Buffer.from('good')) } })
    await api.call('PATCH', `/uploads/${begun.body.id}?offset=0`, { bytes: Buffer.from('evil') })
    expect((await api.call('POST', `/uploads/${begun.body.id}/finish`)).status).toBe(400)
    expect((await api.call('POST', '/uploads', { body: { sizeBytes: 1025, digest: sha256(Buffer.from('x')) } })).status).toBe(413)
  })

  it('belong to who began them', async () => {
    await start()
    const begun = await api.call('POST', '/uploads', { body: { sizeBytes: 4, digest: sha256(Buffer.from('good')) } })
    const other = await api.tokenOf('operator')
    expect((await api.call('PATCH', `/uploads/${begun.body.id}?offset=0`, { as: other, bytes: Buffer.from('good') })).status).toBe(404)
    expect((await api.call('POST', `/uploads/${begun.body.id}/finish`, { as: other })).status).toBe(404)
  })

  it('are what a job starts from: it needs whole ones, and its host alone may read them', async () => {
    await start()
    const source = Buffer.from('a tar, in truth')
    const body = { ...job, source: { kind: 'upload', blob: sha256(source) } }
    expect(await api.call('POST', '/jobs', { body })).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT' } })
    const digest = await uploaded(source)
    await api.fleet.agent('mini-1', { script: async ({ cancelled }) => ({ kind: 'cancelled', by: await cancelled }) })
    const made = await api.call('POST', '/jobs', { body })
    expect(made.status).toBe(201)
    await api.fleet.until(async () => (await api.fleet.attempts(made.body.id)).length === 1)
    const own = await api.keyOf(the((await api.fleet.attempts(made.body.id))[0]).hostId)
    const stranger = await api.keyOf(await api.fleet.enrol('mini-2'))
    expect((await api.call('GET', `/agent/blobs/${digest}`, { as: own })).raw).toEqual(source)
    const rest = await api.call('GET', `/agent/blobs/${digest}`, { as: own, headers: { range: 'bytes=6-' } })
    expect(rest).toMatchObject({
      status: 206,
      text: 'in truth'.slice(0, 0) + source.subarray(6).toString(),
      headers: { 'content-range': `bytes 6-14/15` },
    })
    expect((await api.call('GET', `/agent/blobs/${digest}`, { as: stranger })).status).toBe(404)
    expect((await api.call('GET', `/agent/blobs/${digest}`)).status).toBe(403)
    await api.call('POST', `/jobs/${made.body.id}/cancel`)
    await api.fleet.ended(made.body.id)
  })
})

describe('artifacts', () => {
  it('are listed with what could not be kept, and sent as files that no browser shows', async () => {
    await start()
    const page = Buffer.from('<script>alert(1)</script>')
    const agent = await api.fleet.agent('mini-1', { script: async ({ cancelled }) => ({ kind: 'cancelled', by: await cancelled }) })
    const { body } = await api.call('POST', '/jobs', { body: job })
    await api.fleet.until(async () => (await api.fleet.attempts(body.id)).length === 1)
    const attempt = the((await api.fleet.attempts(body.id))[0])
    const key = await api.keyOf(attempt.hostId)
    const blob = await uploaded(page, '/agent/uploads', key)
    const path = 'out/Ünï "1".html'
    const report = {
      ...the(agent.attempts.get(attempt.id)),
      revision: 50,
      state: 'ended' as const,
      outcome: { kind: 'exited' as const, code: 0 },
      artifacts: [{ path, sizeBytes: page.length, mode: 0o644, blob }],
      artifactFailures: [{ pattern: 'log/*', reason: 'no file matches' }],
    }
    agent.kill()
    await api.fleet.time.settle()
    await api.fleet.link(attempt.hostId).sync(plainSync({ attempts: [report] }), new AbortController().signal)
    const list = await api.call('GET', `/jobs/${body.id}/artifacts`)
    expect(list.body).toEqual({ items: report.artifacts, failures: report.artifactFailures })
    const file = await api.call('GET', `/jobs/${body.id}/artifacts/${path.split('/').map(encodeURIComponent).join('/')}`)
    expect(file.raw).toEqual(page)
    expect(file.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-disposition': `attachment; filename="_n___1_.html"; filename*=UTF-8''%C3%9Cn%C3%AF%20%221%22.html`,
    })
    expect((await api.call('GET', `/jobs/${body.id}/artifacts/none`)).status).toBe(404)
  })

  it('are those of the attempt that is asked for, though another left a file of the same name', async () => {
    await start()
    const agent = await api.fleet.agent('mini-1', { script: async ({ cancelled }) => ({ kind: 'cancelled', by: await cancelled }) })
    const { body } = await api.call('POST', '/jobs', { body: job })
    const attempts = () => api.fleet.attempts(body.id)
    await api.fleet.until(async () => (await attempts()).length === 1)
    const first = the((await attempts())[0])
    const key = await api.keyOf(first.hostId)
    const ended = the(agent.attempts.get(first.id))
    agent.kill()
    await api.fleet.time.settle()
    const sync = (reports: readonly AttemptReport[]) =>
      api.fleet.link(first.hostId).sync(plainSync({ attempts: [...reports] }), new AbortController().signal)
    const leave = async (attempt: typeof first, text: string, outcome: Outcome): Promise<void> => {
      const artifact = {
        path: 'report.txt',
        sizeBytes: text.length,
        mode: 0o644,
        blob: await uploaded(Buffer.from(text), '/agent/uploads', key),
      }
      const { id, generation } = attempt
      await sync([{ ...ended, id, generation, revision: 50, state: 'ended', outcome, artifacts: [artifact] }])
    }
    await leave(first, 'of the first', { kind: 'infrastructure', part: 'boot', code: 'BOOT_FAILED', message: 'it did not boot' })
    await api.fleet.until(async () => {
      await sync([])
      return (await attempts()).length === 2
    })
    await leave(the((await attempts())[1]), 'of the other', { kind: 'exited', code: 0 })
    const file = async (query: string): Promise<string> => (await api.call('GET', `/jobs/${body.id}/artifacts/report.txt${query}`)).text
    expect([await file('?attempt=1'), await file('?attempt=2'), await file('')]).toEqual(['of the first', 'of the other', 'of the other'])
    const list = await api.call('GET', `/jobs/${body.id}/artifacts?attempt=1`)
    expect(list.body.items).toEqual(the((await attempts())[0]).artifacts)
    const none = await api.call('GET', `/jobs/${body.id}/artifacts/report.txt?attempt=3`)
    expect(none).toMatchObject({ status: 404, body: { detail: `the job ${body.id} has no attempt 3`, details: { attempts: 2 } } })
  })
})
