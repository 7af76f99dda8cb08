import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limitsFor } from '../../src/model/operation-limits.ts'
import { operationLimits, type OperationRequest } from '../../src/model/operation.ts'
import { keepBlob } from '../../src/record/blobs.ts'
import { system } from '../../src/record/commit.ts'
import { createOperation } from '../../src/record/operations.ts'
import { startFleet } from '../doubles/controller-fleet.ts'
import type { OperationScript } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'
import { startFleetApi, type Answer, type FleetApi } from './fleet-api.ts'

let api: FleetApi

beforeEach(async () => {
  api = await startFleetApi()
})

afterEach(async () => {
  expect(api.fleet.faults).toEqual([])
  await api.close()
})

async function stateOf(id: string): Promise<string> {
  return (await api.call('GET', `/operations/${id}`)).body.state
}

async function becomes(id: string, state: string, limitMs = 120_000): Promise<void> {
  await api.fleet.until(async () => (await stateOf(id)) === state, limitMs)
}

const ask = (host: string, body: Record<string, unknown>): Promise<Answer> => api.call('POST', `/hosts/${host}/operations`, { body })
const probe = { request: { kind: 'probe' } }

const sandboxId = 'sbx_00000000000000000000000000'
/** One of each kind. */
const requests: readonly OperationRequest[] = [
  { kind: 'exec', command: ['true'] },
  { kind: 'restartAgent', drain: false },
  {
    kind: 'upgradeAgent',
    blob: '0'.repeat(64),
    sizeBytes: 1,
    version: '2.0.0',
    release: '1'.repeat(64),
    allowDowngrade: false,
    deadlineS: 60,
  },
  { kind: 'reboot' },
  { kind: 'probe' },
  { kind: 'clean' },
  { kind: 'sandboxCreate', sandboxId, engine: 'user', image: null, ttlS: 60 },
  { kind: 'sandboxStart', sandboxId },
  { kind: 'sandboxStop', sandboxId },
  { kind: 'sandboxReset', sandboxId },
  { kind: 'sandboxRemove', sandboxId },
  { kind: 'sandboxSnapshot', sandboxId, name: 'one' },
]

/** Begins and says nothing more. */
const silent: OperationScript = async (_operation, say) => say({ state: 'EXECUTING', pid: 4242 })

async function withAgent(operation?: OperationScript): ReturnType<FleetApi['fleet']['agent']> {
  const agent = await api.fleet.agent('mini-1', operation === undefined ? {} : { operation })
  await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'up')
  return agent
}

describe('an operation on a host', () => {
  it('is carried out, and succeeds only after facts that are newer than its end [003-35]', async () => {
    let done: () => void = () => undefined
    const agent = await withAgent(async (_operation, say) => {
      say({ state: 'EXECUTING', pid: 7 })
      await new Promise<void>((resolve) => (done = resolve))
      say({ state: 'SUCCESS', exitCode: 0, outputTail: 'all well\n' })
    })
    const asked = await ask('mini-1', probe)
    expect(asked).toMatchObject({ status: 201, body: { state: 'PENDING', request: { kind: 'probe' } } })
    const id: string = asked.body.id
    await becomes(id, 'EXECUTING')
    expect((await api.call('GET', `/operations/${id}`)).body).toMatchObject({ pid: 7, deadline: expect.any(Number) })
    const factsBefore = the((await api.fleet.host('mini-1')).facts).at
    done()
    await becomes(id, 'SUCCESS')
    const view = (await api.call('GET', `/operations/${id}`)).body
    expect(view).toMatchObject({ exitCode: 0, outputTail: 'all well\n', endedAt: expect.any(Number) })
    const { facts } = await api.fleet.host('mini-1')
    expect(the(facts).at).toBeGreaterThan(factsBefore)
    // Between "done" and "success" the controller asked for facts.
    expect(agent.answers.some(({ wantFacts }) => wantFacts)).toBe(true)
  })

  it('is not called a success when no newer facts come, whatever its exit code', async () => {
    const agent = await withAgent(async (_operation, say) => {
      say({ state: 'EXECUTING' })
      say({ state: 'SUCCESS', exitCode: 0 })
      agent.kill()
    })
    const { body } = await ask('mini-1', probe)
    await becomes(body.id, 'SUSPICIOUS', 300_000)
    expect((await api.call('GET', `/operations/${body.id}`)).body['exitCode']).toBe(0)
  })

  it('ends as an error with its code', async () => {
    await withAgent(async (_operation, say) => {
      say({ state: 'EXECUTING' })
      say({ state: 'ERROR', exitCode: 3, reason: 'it broke' })
    })
    const { body } = await ask('mini-1', probe)
    await becomes(body.id, 'ERROR')
    expect((await api.call('GET', `/operations/${body.id}`)).body).toMatchObject({ exitCode: 3, reason: 'it broke' })
  })

  it('is one at a time: a second one is told what runs and its pid, and may be asked for again afterwards [003-30]', async () => {
    let done: () => void = () => undefined
    await withAgent(async (_operation, say) => {
      say({ state: 'EXECUTING', pid: 4242 })
      await new Promise<void>((resolve) => (done = resolve))
      say({ state: 'SUCCESS', exitCode: 0 })
    })
    const first = (await ask('mini-1', { request: { kind: 'clean' } })).body
    await becomes(first.id, 'EXECUTING')
    const second = await ask('mini-1', probe)
    expect(second).toMatchObject({
      status: 409,
      body: { code: 'OPERATION_RUNNING', details: { current: { id: first.id, kind: 'clean', state: 'EXECUTING', pid: 4242 } } },
    })
    // The host has the one that the controller says it has, and nothing else.
    expect((await api.call('GET', '/hosts/mini-1/operations')).body.items).toHaveLength(1)
    done()
    await becomes(first.id, 'SUCCESS')
    expect((await ask('mini-1', probe)).status).toBe(201)
  })

  it('is refused with its age for a host that is lost, or waits for the host when that was asked for [003-29]', async () => {
    const agent = await withAgent()
    agent.kill()
    await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'lost', 200_000)
    const refused = await ask('mini-1', probe)
    expect(refused).toMatchObject({ status: 409, body: { code: 'HOST_LOST' } })
    expect(refused.body.details['silentMs']).toBeGreaterThan(80_000)
    expect(refused.body.detail).toMatch(/has not reported for \d+ s/)
    const queued = await ask('mini-1', { ...probe, queueIfLost: true })
    expect(queued).toMatchObject({ status: 201, body: { state: 'PENDING' } })
    await api.fleet.agent('mini-1')
    await becomes(queued.body.id, 'SUCCESS')
  })

  it('is cleared when no host takes it within ten minutes, and never while it is active [003-38]', async () => {
    const agent = await withAgent(silent)
    const active = (await ask('mini-1', { ...probe, hardS: 3600 })).body.id
    await becomes(active, 'EXECUTING')
    await api.fleet.time.advance(900_000)
    expect(['EXECUTING', 'RUNNING_WARNING']).toContain(await stateOf(active))
    await api.call('POST', `/operations/${active}/kill`)
    await becomes(active, 'KILLED')
    agent.kill()
    await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'lost', 200_000)
    const orphan = (await ask('mini-1', { ...probe, queueIfLost: true })).body.id
    await api.fleet.time.advance(590_000)
    expect(await stateOf(orphan)).toBe('PENDING')
    // Looked at once a minute at least.
    await becomes(orphan, 'SKIPPED', 70_000)
  })

  it('that replaces the agent needs the scope exec and bytes that are here, which then stay and are for its host alone', async () => {
    await withAgent(silent)
    const bytes = Buffer.from('an archive')
    const blob = createHash('sha256').update(bytes).digest('hex')
    const request = {
      kind: 'upgradeAgent',
      blob,
      sizeBytes: bytes.length,
      version: '2.0.0',
      release: '1'.repeat(64),
      allowDowngrade: false,
      deadlineS: 600,
    }
    const operator = await api.tokenOf('operator')
    expect(await api.call('POST', '/hosts/mini-1/operations', { body: { request }, as: operator })).toMatchObject({ status: 403 })
    const absent = await ask('mini-1', { request })
    expect(absent).toMatchObject({ status: 404, body: { detail: expect.stringContaining(blob) } })
    const { fleet } = api
    await fleet.blobs.append('uploads/x', 0, bytes)
    await fleet.blobs.seal('uploads/x', blob)
    await fleet.store.write((tx) => keepBlob(tx, { digest: blob, sizeBytes: bytes.length, at: fleet.time.clock.now() }))
    const asked = await ask('mini-1', { request, hardS: 86_400 })
    // The controller waits for longer than the new agent has, so that the old one can say how it went.
    expect(asked).toMatchObject({ status: 201, body: { limits: { reconnect: 780_000 } } })
    await becomes(asked.body.id, 'EXECUTING')
    const own = (await fleet.host('mini-1')).id
    const other = await fleet.enrol('mini-2')
    const fetched = async (hostId: string) => (await api.call('GET', `/agent/blobs/${blob}`, { as: await api.keyOf(hostId) })).status
    expect([await fetched(own), await fetched(other)]).toEqual([200, 404])
  })

  it.each(requests)('$kind reaches an end by its limits alone when the agent dies in the middle [003-15]', async (request) => {
    const { fleet } = api
    const agent = await withAgent(silent)
    const id = fleet.core.services.ids.next('op')
    const host = await fleet.host('mini-1')
    const limits = limitsFor(fleet.core.services.spec(), request.kind)
    await fleet.core.recorder.write(system, (tx) => createOperation(tx, { id, host, request, limits, queueIfLost: false, silentMs: 0 }))
    await becomes(id, 'EXECUTING')
    agent.kill()
    const ended = async (): Promise<boolean> => (await api.call('GET', `/operations/${id}`)).body['endedAt'] !== null
    await fleet.until(ended, limits.hard + limits.reconnect + 600_000)
    expect(['TIMEOUT', 'ERROR', 'SUSPICIOUS', 'PARTIAL']).toContain(await stateOf(id))
    // The next one may be asked for.
    expect((await api.call('GET', '/hosts/mini-1')).body['operation']).toBeNull()
  })

  it('is warned of and killed at its own limits, and gets more time when somebody gives it', async () => {
    await withAgent(silent)
    const { body } = await ask('mini-1', { ...probe, warningS: 60, hardS: 120 })
    const id: string = body.id
    await becomes(id, 'EXECUTING')
    const startedAt = (await api.call('GET', `/operations/${id}`)).body['startedAt'] as number
    await becomes(id, 'RUNNING_WARNING')
    expect(api.fleet.time.clock.now() - startedAt).toBeGreaterThanOrEqual(60_000)
    expect(api.fleet.time.clock.now() - startedAt).toBeLessThan(66_000)
    await becomes(id, 'TIMEOUT_PENDING')
    const extended = await api.call('POST', `/operations/${id}/extend`, { body: { seconds: 300 } })
    expect(extended).toMatchObject({ status: 200, body: { state: 'RUNNING_WARNING' } })
    await api.fleet.time.advance(250_000)
    expect(await stateOf(id)).toBe('RUNNING_WARNING')
    await becomes(id, 'TIMEOUT_PENDING')
    // The simulated agent says that it killed what it was told to kill.
    await becomes(id, 'KILLED', 300_000)
  })

  it('is killed when somebody asks for it, however often', async () => {
    await withAgent(silent)
    const { body } = await ask('mini-1', probe)
    await becomes(body.id, 'EXECUTING')
    for (let again = 0; again < 3; again += 1) expect((await api.call('POST', `/operations/${body.id}/kill`)).status).toBe(200)
    await becomes(body.id, 'KILLED')
    expect((await api.call('POST', `/operations/${body.id}/extend`, { body: { seconds: 60 } })).status).toBe(409)
  })

  it('waits for the jobs of a host before it restarts the machine, and places none there meanwhile', async () => {
    await api.fleet.agent('mini-1', {
      operation: silent,
      script: async ({ reach, sleep }) => {
        reach('running')
        await sleep(60_000)
        return { kind: 'exited', code: 0 }
      },
    })
    const job = await api.fleet.submit()
    await api.fleet.until(async () => (await api.fleet.job(job.id)).state === 'running')
    const { body } = await ask('mini-1', { request: { kind: 'reboot' } })
    const next = await api.fleet.submit()
    await api.fleet.time.advance(30_000)
    expect(await stateOf(body.id)).toBe('PENDING')
    expect((await api.fleet.job(next.id)).state).toBe('queued')
    const why = await api.call('GET', `/explain/operation/${body.id}`)
    expect(why.body.waiting[0]).toMatchObject({ code: 'draining' })
    await becomes(body.id, 'EXECUTING')
    expect((await api.fleet.job(job.id)).outcome).toEqual({ kind: 'exited', code: 0 })
  })

  it('takes its limits from the spec, and the request goes above it [003-34]', async () => {
    const second = await startFleetApi({ spec: { limits: { operations: { probe: { warning: '7s', hard: '70s' } } } } })
    await second.fleet.agent('mini-1', { operation: silent })
    await second.fleet.until(async () => (await second.fleet.host('mini-1')).state === 'up')
    const made = await second.call('POST', '/hosts/mini-1/operations', { body: probe })
    await second.fleet.until(async () => (await second.call('GET', `/operations/${made.body.id}`)).body.state === 'EXECUTING')
    const view = (await second.call('GET', `/operations/${made.body.id}`)).body
    expect(Number(view['deadline']) - Number(view['startedAt'])).toBe(70_000)
    await second.call('POST', `/operations/${made.body.id}/kill`)
    await second.fleet.until(async () => (await second.call('GET', `/operations/${made.body.id}`)).body.state === 'KILLED')
    const own = await second.call('POST', '/hosts/mini-1/operations', { body: { ...probe, hardS: 33 } })
    await second.fleet.until(async () => (await second.call('GET', `/operations/${own.body.id}`)).body.state === 'EXECUTING')
    const ownView = (await second.call('GET', `/operations/${own.body.id}`)).body
    expect(Number(ownView['deadline']) - Number(ownView['startedAt'])).toBe(33_000)
    await second.close()
    // Where nothing is set, the defaults of the kinds hold.
    expect(operationLimits.exec).toMatchObject({ warning: 300_000, hard: 900_000, reconnect: 90_000 })
  })

  it('goes on over the death of the controller, and is reconciled with the agent', async () => {
    let done: () => void = () => undefined
    await withAgent(async (_operation, say) => {
      say({ state: 'EXECUTING', pid: 9 })
      await new Promise<void>((resolve) => (done = resolve))
      say({ state: 'SUCCESS', exitCode: 0 })
    })
    const id: string = (await ask('mini-1', probe)).body.id
    await becomes(id, 'EXECUTING')
    const { fleet } = api
    await fleet.crash()
    done()
    await fleet.time.advance(3000)
    const next = await startFleet({ time: fleet.time, store: fleet.store, blobs: fleet.blobs, board: fleet.board, seed: 2 })
    await next.until(async () => (await stateOf(id)) === 'SUCCESS', 60_000)
    expect((await next.events()).filter(({ kind }) => kind === 'operation.ended')).toHaveLength(1)
    await next.stop()
  })

  it('needs the scope exec for a command on the host, and never runs one for an operator', async () => {
    await withAgent()
    const operator = await api.tokenOf('operator')
    const refused = await api.call('POST', '/hosts/mini-1/operations', {
      as: operator,
      body: { request: { kind: 'exec', command: ['id'] } },
    })
    expect(refused).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    expect((await api.call('POST', '/hosts/mini-1/operations', { as: operator, body: probe })).status).toBe(201)
  })
})
