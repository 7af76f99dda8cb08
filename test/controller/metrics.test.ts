import { execFileSync, spawnSync } from 'node:child_process'
import { afterEach, describe, expect, it } from 'vitest'
import { createMetrics, metricsRoutes } from '../../src/serve/metrics.ts'
import type { Metrics } from '../../src/serve/metrics.ts'
import { createServer } from '../../src/serve/server.ts'
import { bearer, fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let made: Fixture | undefined
afterEach(async () => {
  await made?.close()
  made = undefined
})

function fed(): Metrics {
  const metrics = createMetrics('1.2.3')
  metrics.answered({ route: '/api/v1/jobs', method: 'GET', status: 200, seconds: 0.01 })
  metrics.jobStarted({ queue: 'ci', waitedS: 3 })
  metrics.jobEnded({ queue: 'ci', outcome: 'succeeded', seconds: 60 })
  metrics.attemptFailed({ pool: 'macs' })
  metrics.synced({ parked: true })
  metrics.eventsSealed(3)
  metrics.passed({ at: 1_790_000_000_000, seconds: 0.02, steps: 4, leads: true })
  metrics.fleet({
    queues: [{ queue: 'ci', queued: 7, running: 2, oldestWaitS: 12.5 }],
    hosts: [{ pool: 'macs', state: 'up', count: 3 }],
    waiting: [{ code: 'NO_HOST', jobs: 5 }],
    images: [{ image: 'macos-15', ageS: 3600, ready: 2 }],
  })
  metrics.imageBuilt({ image: 'macos-15', outcome: 'built' })
  return metrics
}

const hasPromtool = spawnSync('promtool', ['--version']).status === 0
if (!hasPromtool) process.stdout.write('promtool is not installed (Debian package prometheus): the metrics are not checked by it\n')

describe('the metrics', () => {
  it.skipIf(!hasPromtool)('are accepted by promtool without a complaint', async () => {
    const text = await fed().registry.metrics()
    expect(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] })).toBe('')
  })

  it('show queues, waits, outcomes, hosts, the loop and the HTTP side', async () => {
    const text = await fed().registry.metrics()
    for (const line of [
      'cidery_queue_jobs{queue="ci",state="queued"} 7',
      'cidery_queue_oldest_wait_seconds{queue="ci"} 12.5',
      'cidery_jobs_ended_total{queue="ci",outcome="succeeded"} 1',
      'cidery_hosts{pool="macs",state="up"} 3',
      'cidery_waiting_jobs{code="NO_HOST"} 5',
      'cidery_syncs_total{parked="true"} 1',
      'cidery_loop_last_pass_timestamp_seconds 1790000000',
      'cidery_events_sealed_total 3',
      'cidery_leads 1',
      'cidery_image_age_seconds{image="macos-15"} 3600',
      'cidery_image_hosts_ready{image="macos-15"} 2',
      'cidery_image_builds_total{image="macos-15",outcome="built"} 1',
      'cidery_attempts_failed_total{pool="macs"} 1',
      'cidery_build_info{version="1.2.3"} 1',
      'cidery_job_wait_seconds_count{queue="ci"} 1',
      'cidery_http_request_duration_seconds_count{route="/api/v1/jobs",method="GET",status="200"} 1',
    ])
      expect(text).toContain(`${line}\n`)
  })

  it('forget a queue and a host that are gone', async () => {
    const metrics = fed()
    metrics.fleet({ queues: [], hosts: [], waiting: [], images: [] })
    const text = await metrics.registry.metrics()
    expect(text).not.toContain('cidery_queue_jobs{')
    expect(text).not.toContain('cidery_hosts{')
  })

  it('count requests by the route that is written in the code, never by what a caller sends', async () => {
    made = await fixture()
    const token = await made.tokenOf('admin')
    for (let i = 0; i < 20; i += 1) await made.app.inject({ method: 'DELETE', url: `/api/v1/tokens/tok_${i}`, headers: bearer(token) })
    for (let i = 0; i < 20; i += 1) await made.app.inject({ url: `/nothing-${i}` })
    const text = (await made.app.inject({ url: '/metrics' })).body
    expect(text).toContain('cidery_http_request_duration_seconds_count{route="/api/v1/tokens/:id",method="DELETE",status="404"} 20\n')
    expect(text).not.toContain('tok_1')
    expect(text).not.toContain('nothing-1')
  })

  it('need the scope read where the server is reached from outside', async () => {
    made = await fixture()
    const server = await createServer({
      ports: made.ports,
      routes: [],
      rootRoutes: metricsRoutes(createMetrics('0'), { loopbackOnly: false }),
      version: '0',
      tls: null,
    })
    expect((await server.app.inject({ url: '/metrics' })).statusCode).toBe(401)
    expect((await server.app.inject({ url: '/metrics', headers: bearer(await made.tokenOf('viewer')) })).statusCode).toBe(200)
    await server.close()
  })
})

describe('the health of the controller', () => {
  it('is asked of the process by /healthz and of the loop and the store by /readyz', async () => {
    let ready = { ready: true, reasons: [] as string[] }
    made = await fixture({ readiness: async () => ready })
    const get = async (url: string) => made?.app.inject({ url })
    expect((await get('/healthz'))?.json()).toEqual({ status: 'ok' })
    expect((await get('/readyz'))?.statusCode).toBe(200)
    ready = { ready: false, reasons: ['the loop has not passed for 31 s'] }
    const answer = await get('/readyz')
    expect([answer?.statusCode, answer?.json()]).toEqual([503, ready])
    expect((await get('/healthz'))?.statusCode).toBe(200)
  })
})
