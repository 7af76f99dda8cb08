import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hour, minute } from '../../src/model/instant.ts'
import type { SimulatedAgent } from '../doubles/simulated-agent.ts'
import { startFleetApi, type FleetApi } from './fleet-api.ts'

let api: FleetApi
let stored: Set<string>
/** Whether the host gets what it fetches. */
let fetching: boolean
let agent: SimulatedAgent
/** Resolves the build that is under way. */
let finish: (how?: 'built' | 'failed') => void

const digest = 'c'.repeat(64)

beforeEach(async () => {
  api = await startFleetApi({
    spec: {
      pools: { default: { engines: { tart: { limits: 'advisory' } } } },
      images: {
        'macos-15': { engine: 'tart', recipe: 'macos-15.yaml', registry: 'registry.test/acme/macos-15' },
        plain: { engine: 'tart' },
      },
    },
  })
  stored = new Set()
  fetching = true
  agent = await api.fleet.agent('mini-1', {
    images: {
      stored,
      fetches: () => fetching,
      async build(build) {
        const state = await new Promise<'built' | 'failed'>((resolve) => (finish = (how = 'built') => resolve(how)))
        const metadata = {
          build: build.id,
          image: 'macos-15',
          name: build.name,
          engine: 'tart' as const,
          recipe: { version: build.recipe.version, hash: build.identity.recipe, layers: [] },
          base: null,
          productVersion: build.productVersion,
          guest: { os: 'macos', release: '15', arch: 'arm64' as const },
          builtAt: api.fleet.time.clock.now(),
          builtOn: 'mini-1',
          tools: [],
          labels: {},
        }
        const reference = `registry.test/acme/macos-15@sha256:${'a'.repeat(64)}`
        return state === 'failed'
          ? { state, reason: 'step bun failed', retry: 'never' as const }
          : { state, sizeBytes: 1024, reference, metadata, logBytes: 6 }
      },
    },
  })
  await api.fleet.until(async () => (await api.fleet.host('mini-1')).state === 'up')
  await api.fleet.time.advance(100)
})

afterEach(async () => {
  expect(api.fleet.faults).toEqual([])
  await api.close()
})

function recipe(step = 'true', more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    recipe: {
      name: 'macos-15',
      version: '3.6',
      engine: 'tart',
      base: { oci: 'registry.test/acme/base:latest' },
      guest: { os: 'macos', release: '15' },
      machine: { cpu: 2, memory: '2GiB', disk: '10GiB' },
      steps: [{ name: 'step', shell: step }],
      ...more,
    },
    lock: { base: `sha256:${'b'.repeat(64)}` },
    productVersion: '1.2.17',
  }
}

async function building(): Promise<string> {
  await api.fleet.until(async () => (await api.call('GET', '/images/macos-15')).body['underWay'] !== null)
  const { id } = (await api.call('GET', '/images/macos-15')).body['underWay'] as { id: string }
  await api.fleet.time.advance(100)
  return id
}

async function promoted(step = 'true'): Promise<string> {
  await api.call('PUT', '/images/macos-15/recipe', { body: recipe(step) })
  const id = await building()
  finish()
  await api.fleet.until(
    async () => ((await api.call('GET', '/images/macos-15')).body['promoted'] as { id: string } | null)?.id === id,
    minute,
  )
  return id
}

async function state(): Promise<Record<string, unknown>> {
  return { ...(await api.call('GET', '/images/macos-15/hosts')).body.items[0] }
}

async function keys(): Promise<Record<string, string>> {
  return (await api.call('GET', '/hosts/mini-1/image-keys')).body as unknown as Record<string, string>
}

describe('an image', () => {
  it('is shown per host under the keys that CI systems know [000-07] [000-08] [000-09] [000-11]', async () => {
    expect((await keys())['vm-ready-macos-15']).toBe('false')
    const id = await promoted()
    await agent.tell()
    await api.fleet.time.advance(100)
    const checkedAt = (await api.fleet.host('mini-1')).facts?.at ?? 0
    expect(await keys()).toEqual({
      'vm-ready-macos-15': 'true',
      'vm-image-macos-15': `registry.test/acme/macos-15@sha256:${'a'.repeat(64)}`,
      'vm-bootstrap-version-macos-15': '3.6',
      'vm-status-reason-macos-15': 'VM image available with correct bootstrap version (ready)',
      'vm-last-check-macos-15': new Date(checkedAt).toISOString(),
      'vm-bun-version-macos-15': '1.2.17',
      'vm-last-updated-macos-15': expect.stringMatching(/^\d{4}-.*Z$/),
    })
    expect(await state()).toMatchObject({ ready: true, build: id, decision: 'use_local' })
    // A newer look moves the time, though nothing changed; without one for three intervals nothing is known.
    await api.fleet.time.advance(5 * minute)
    await agent.tell()
    await api.fleet.time.advance(100)
    expect(Date.parse((await keys())['vm-last-check-macos-15'] ?? '')).toBeGreaterThan(checkedAt)
    agent.kill()
    await api.fleet.time.advance(16 * minute)
    expect(await state()).toMatchObject({ ready: false, code: 'unknown' })
  })

  it('says for each cause its reason, and one code [000-45]', async () => {
    const told = async () => {
      const { code, reason } = await state()
      return [code, reason]
    }
    expect(await told()).toEqual(['missing', 'VM image not found locally - building VM'])
    await api.call('PUT', '/images/macos-15/recipe', { body: recipe() })
    await building()
    expect(await told()).toEqual(['building', 'Building VM image'])
    finish('failed')
    await api.fleet.until(async () => (await state())['code'] === 'build_failed')
    expect(await told()).toEqual(['build_failed', 'VM build failed: step bun failed'])
    const id = await promoted('other')
    await agent.tell()
    await api.fleet.time.advance(100)
    expect(await told()).toEqual(['ready', 'VM image available with correct bootstrap version'])
    expect((await api.call('GET', `/builds/${id}`)).body).toMatchObject({ state: 'promoted' })
    fetching = false
    stored.clear()
    await agent.tell()
    await api.fleet.time.advance(100)
    expect(await told()).toEqual(['missing', 'VM build completed but image not found'])
    await api.call('PUT', '/images/macos-15/recipe', { body: recipe('third') })
    stored.add(id)
    await agent.tell()
    await building()
    finish('failed')
    await api.fleet.until(async () => (await state())['code'] === 'stale')
    expect(await told()).toEqual(['stale', 'Bootstrap version mismatch - rebuilding VM'])
  })

  it('keeps what was said when it was built', async () => {
    await promoted()
    const events = await api.fleet.store.read((db) => db.selectFrom('builds').select('doc').execute())
    expect(events).toHaveLength(1)
    const { body } = await api.call('GET', '/images/macos-15/builds')
    expect(body.items[0]).toMatchObject({ image: 'macos-15', state: 'promoted', recipeVersion: '3.6', requestedBy: 'cidery' })
  })

  it('takes a recipe that can be used, and names what is wrong with one that cannot', async () => {
    expect((await api.call('PUT', '/images/macos-15/recipe', { body: recipe() })).body['recipe']).toMatchObject({
      generation: 1,
      version: '3.6',
    })
    expect((await api.call('PUT', '/images/macos-15/recipe', { body: recipe() })).body['recipe']).toMatchObject({ generation: 1 })
    const wrong = await api.call('PUT', '/images/macos-15/recipe', { body: recipe('true', { version: 3.6 }) })
    expect([wrong.status, wrong.body.code]).toEqual([400, 'INVALID_INPUT'])
    expect(wrong.body['problems']).toMatchObject([{ path: 'recipe.version' }])
    const other = await api.call('PUT', '/images/macos-15/recipe', { body: recipe('true', { name: 'macos-14' }) })
    expect(other.body.detail).toContain('macos-14')
    const file = recipe('true', { steps: [{ name: 'files', copy: { from: 'a.txt', to: '/a.txt' } }] })
    expect((await api.call('PUT', '/images/macos-15/recipe', { body: file })).body.code).toBe('INVALID_INPUT')
    const unsent = { ...file, digests: { 'a.txt': `file:${digest}` }, files: digest }
    expect((await api.call('PUT', '/images/macos-15/recipe', { body: unsent })).status).toBe(404)
    expect((await api.call('PUT', '/images/plain/recipe', { body: recipe() })).status).toBe(404)
    const operator = await api.tokenOf('operator')
    expect((await api.call('PUT', '/images/macos-15/recipe', { body: recipe(), as: operator })).status).toBe(403)
    expect((await api.call('POST', '/images/macos-15/build', { body: {}, as: await api.tokenOf('viewer') })).status).toBe(403)
  })

  it('is promoted and rolled back by one call each, and what jobs get is not removed [001-25]', async () => {
    const first = await promoted('one')
    const second = await promoted('two')
    expect((await api.call('DELETE', `/builds/${second}`)).status).toBe(409)
    expect((await api.call('DELETE', `/builds/${first}`)).status).toBe(409)
    const back = await api.call('POST', '/images/macos-15/rollback', { body: { reason: 'tests fail' } })
    expect(back.body['promoted']).toMatchObject({ id: first })
    expect((await api.call('POST', '/images/macos-15/rollback', { body: {} })).status).toBe(409)
    const again = await api.call('POST', '/images/macos-15/promote', { body: { build: second } })
    expect(again.body).toMatchObject({ id: second, state: 'promoted' })
    await api.call('POST', '/images/macos-15/promote', { body: { build: first } })
    expect((await api.call('PUT', `/builds/${second}/pinned`, { body: { pinned: true } })).body['pinnedBy']).toContain('token:admin')
    expect((await api.call('POST', '/images/macos-15/promote', { body: { build: 'nothing' } })).status).toBe(404)
    const events = (await api.fleet.events()).filter(({ kind }) => kind === 'image.promoted' || kind === 'image.rolledBack')
    expect(events.map(({ kind }) => kind)).toEqual([
      'image.promoted',
      'image.promoted',
      'image.rolledBack',
      'image.promoted',
      'image.promoted',
    ])
  })

  it('is forced ready or not ready on a host by a person, with reason and end, which is written down [000-40] [000-41]', async () => {
    await promoted()
    expect((await api.call('PUT', '/hosts/mini-1/images/macos-15/forced', { body: { ready: false, ttlS: 3600 } })).status).toBe(204)
    await api.fleet.time.advance(100)
    expect(await state()).toMatchObject({ ready: false, code: 'forced', reason: 'Forced not ready by admin' })
    await api.call('PUT', '/hosts/mini-1/images/macos-15/forced', { body: { ready: true } })
    await api.fleet.time.advance(100)
    expect(await state()).toMatchObject({ ready: true, code: 'forced', reason: 'Forced ready by admin' })
    await api.call('DELETE', '/hosts/mini-1/images/macos-15/forced')
    await api.fleet.time.advance(100)
    expect(await state()).toMatchObject({ code: 'ready' })
    expect((await api.fleet.events()).filter(({ kind }) => kind.startsWith('image.force')).map(({ kind }) => kind)).toEqual([
      'image.forced',
      'image.forced',
      'image.forceCleared',
    ])
  })

  it('gives a build its log, byte by byte at its offset, from the host that makes it alone', async () => {
    await api.call('PUT', '/images/macos-15/recipe', { body: recipe() })
    const id = await building()
    const key = await api.keyOf((await api.fleet.host('mini-1')).id)
    const bytes = new TextEncoder().encode('hello\n')
    expect((await api.call('PUT', `/agent/builds/${id}/log?offset=0`, { bytes, as: key })).body['length']).toBe(6)
    expect((await api.call('PUT', `/agent/builds/${id}/log?offset=9`, { bytes, as: key })).body.code).toBe('OFFSET_MISMATCH')
    const stranger = await api.keyOf(await api.fleet.enrol('mini-2'))
    expect((await api.call('PUT', `/agent/builds/${id}/log?offset=0`, { bytes, as: stranger })).status).toBe(404)
    expect((await api.call('GET', `/builds/${id}/log`)).text).toBe('hello\n')
    finish()
    await api.fleet.until(async () => (await api.call('GET', `/builds/${id}`)).body.state === 'promoted', minute)
    expect((await api.call('GET', `/builds/${id}/log?follow=1`)).text).toBe('hello\n')
  })

  it('is built for a person who asks, and the build ended when asked', async () => {
    await promoted()
    await api.call('POST', '/images/macos-15/build', { body: { fromBase: true } })
    const id = await building()
    expect((await api.call('GET', `/builds/${id}`)).body).toMatchObject({ fromBase: true, state: 'building' })
    expect((await api.call('POST', `/builds/${id}/cancel`)).body['cancelledBy']).toContain('token:admin')
    const explained = await api.call('GET', '/explain/image/macos-15')
    expect(explained.body.waiting).toMatchObject([{ code: 'imageBuilding' }])
    expect((await api.call('GET', '/images')).body.items.map((item) => item['name'])).toEqual(['macos-15'])
    await api.fleet.time.advance(hour)
  })

  it('is taken from a registry by its digest, brought to hosts and promoted', async () => {
    const reference = `registry.test/acme/macos-15@sha256:${'d'.repeat(64)}`
    expect((await api.call('POST', '/images/macos-15/adopt', { body: { reference: 'registry.test/acme/macos-15:latest' } })).status).toBe(
      400,
    )
    const { status, body } = await api.call('POST', '/images/macos-15/adopt', { body: { reference } })
    expect([status, body.state, body['name']]).toEqual([201, 'validated', 'macos-15-dddddddddddd'])
    expect((await api.call('POST', '/images/macos-15/adopt', { body: { reference } })).status).toBe(409)
    await api.fleet.until(async () => (await api.call('GET', `/builds/${body.id}`)).body.state === 'promoted', minute)
    expect(stored.has(body.id)).toBe(true)
  })
})
