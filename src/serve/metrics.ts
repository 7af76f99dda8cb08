import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { z } from 'zod'
import { route } from './route.ts'
import type { Route } from './route.ts'

/** Moments of the fleet that the loop writes down after each pass. Ages are in seconds. */
export interface FleetNumbers {
  readonly queues: readonly { readonly queue: string; readonly queued: number; readonly running: number; readonly oldestWaitS: number }[]
  readonly hosts: readonly { readonly pool: string; readonly state: string; readonly count: number }[]
  readonly waiting: readonly { readonly code: string; readonly jobs: number }[]
  /** Images that cidery builds or fetches and of which a build is promoted. */
  readonly images: readonly { readonly image: string; readonly ageS: number; readonly ready: number }[]
}

/** All numbers that `/metrics` shows, and how to feed them. */
export interface Metrics {
  readonly registry: Registry
  /** An HTTP request was answered. */
  answered(answer: { readonly route: string; readonly method: string; readonly status: number; readonly seconds: number }): void
  /** A job ended; `outcome` is its kind. */
  jobEnded(job: { readonly queue: string; readonly outcome: string; readonly seconds: number }): void
  /** A job started after waiting so long. */
  jobStarted(job: { readonly queue: string; readonly waitedS: number }): void
  /** An attempt ended for a fault of the infrastructure. */
  attemptFailed(attempt: { readonly pool: string }): void
  /** A build of an image ended: `built` or `failed`. */
  imageBuilt(build: { readonly image: string; readonly outcome: string }): void
  /** A host synced; `parked`: the poll that waits. */
  synced(sync: { readonly parked: boolean }): void
  eventsSealed(count: number): void
  eventStreams(count: number): void
  /** The loop finished a pass: the dead man's gauge is set to this moment. */
  passed(pass: { readonly at: number; readonly seconds: number; readonly steps: number; readonly leads: boolean }): void
  fleet(numbers: FleetNumbers): void
}

const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const jobSeconds = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600]

/** A registry of its own, so that two controllers in one process do not mix. `version` is shown by `cidery_build_info`. */
export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const http = new Histogram({
    name: 'cidery_http_request_duration_seconds',
    help: 'Time to answer HTTP requests, parked polls and streams included.',
    labelNames: ['route', 'method', 'status'],
    buckets: seconds,
    registers,
  })
  const ended = new Counter({
    name: 'cidery_jobs_ended_total',
    help: 'Jobs that ended, by outcome.',
    labelNames: ['queue', 'outcome'],
    registers,
  })
  const ran = new Histogram({
    name: 'cidery_job_duration_seconds',
    help: 'Time from a job’s submission to its end.',
    labelNames: ['queue', 'outcome'],
    buckets: jobSeconds,
    registers,
  })
  const waited = new Histogram({
    name: 'cidery_job_wait_seconds',
    help: 'Time from a job’s submission to the start of its command.',
    labelNames: ['queue'],
    buckets: [0.1, 0.5, ...jobSeconds],
    registers,
  })
  const failed = new Counter({
    name: 'cidery_attempts_failed_total',
    help: 'Attempts that ended for a fault of the infrastructure.',
    labelNames: ['pool'],
    registers,
  })
  const builds = new Counter({
    name: 'cidery_image_builds_total',
    help: 'Builds of images that ended, by outcome.',
    labelNames: ['image', 'outcome'],
    registers,
  })
  const imageAge = new Gauge({
    name: 'cidery_image_age_seconds',
    help: 'Age of the build of an image that jobs get.',
    labelNames: ['image'],
    registers,
  })
  const imageHosts = new Gauge({
    name: 'cidery_image_hosts_ready',
    help: 'Hosts that are ready with the build of an image that jobs get.',
    labelNames: ['image'],
    registers,
  })
  const syncs = new Counter({ name: 'cidery_syncs_total', help: 'Sync calls of agents.', labelNames: ['parked'], registers })
  const sealed = new Counter({ name: 'cidery_events_sealed_total', help: 'Events sealed into the journal.', registers })
  const streams = new Gauge({ name: 'cidery_event_streams', help: 'Open event streams.', registers })
  const passes = new Histogram({
    name: 'cidery_loop_pass_duration_seconds',
    help: 'Time that a pass of the loop took.',
    buckets: seconds,
    registers,
  })
  const steps = new Counter({ name: 'cidery_loop_steps_total', help: 'Steps that the loop carried out.', registers })
  const lastPass = new Gauge({
    name: 'cidery_loop_last_pass_timestamp_seconds',
    help: 'When the loop last finished a pass: alert when it is older than a minute (dead man’s switch).',
    registers,
  })
  const leads = new Gauge({
    name: 'cidery_leads',
    help: '1 while this controller leads, else 0: alert when the sum over a fleet is not 1 for a minute.',
    registers,
  })
  const queued = new Gauge({
    name: 'cidery_queue_jobs',
    help: 'Jobs per queue, waiting or running.',
    labelNames: ['queue', 'state'],
    registers,
  })
  const oldest = new Gauge({
    name: 'cidery_queue_oldest_wait_seconds',
    help: 'How long the oldest waiting job of a queue has waited.',
    labelNames: ['queue'],
    registers,
  })
  const hosts = new Gauge({ name: 'cidery_hosts', help: 'Hosts by pool and state.', labelNames: ['pool', 'state'], registers })
  const waiting = new Gauge({
    name: 'cidery_waiting_jobs',
    help: 'Waiting jobs by the reason they wait for.',
    labelNames: ['code'],
    registers,
  })
  const build = new Gauge({
    name: 'cidery_build_info',
    help: 'Always 1; the labels say which cidery this is.',
    labelNames: ['version'],
    registers,
  })
  build.set({ version }, 1)

  return {
    registry,
    answered: ({ route: path, method, status, seconds: took }) => http.observe({ route: path, method, status: String(status) }, took),
    jobEnded: ({ queue, outcome, seconds: took }) => {
      ended.inc({ queue, outcome })
      ran.observe({ queue, outcome }, took)
    },
    jobStarted: ({ queue, waitedS }) => waited.observe({ queue }, waitedS),
    attemptFailed: ({ pool }) => failed.inc({ pool }),
    imageBuilt: ({ image, outcome }) => builds.inc({ image, outcome }),
    synced: ({ parked }) => syncs.inc({ parked: String(parked) }),
    eventsSealed: (count) => sealed.inc(count),
    eventStreams: (count) => streams.set(count),
    passed: ({ at, seconds: took, steps: count, leads: isLeader }) => {
      leads.set(isLeader ? 1 : 0)
      lastPass.set(at / 1000)
      passes.observe(took)
      steps.inc(count)
    },
    fleet: (numbers) => {
      // What is gone must not stay with its last number.
      for (const gauge of [queued, oldest, hosts, waiting, imageAge, imageHosts]) gauge.reset()
      for (const queue of numbers.queues) {
        queued.set({ queue: queue.queue, state: 'queued' }, queue.queued)
        queued.set({ queue: queue.queue, state: 'running' }, queue.running)
        oldest.set({ queue: queue.queue }, queue.oldestWaitS)
      }
      for (const host of numbers.hosts) hosts.set({ pool: host.pool, state: host.state }, host.count)
      for (const { image, ageS, ready } of numbers.images) {
        imageAge.set({ image }, ageS)
        imageHosts.set({ image }, ready)
      }
      for (const cause of numbers.waiting) waiting.set({ code: cause.code }, cause.jobs)
    },
  }
}

/** `GET /metrics`. Public where only this machine reaches the server; elsewhere it needs the scope `read`. */
export function metricsRoutes(metrics: Metrics, options: { readonly loopbackOnly: boolean }): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/metrics',
      summary: 'Numbers for Prometheus',
      tag: 'controller',
      access: options.loopbackOnly ? 'public' : 'read',
      response: 'raw',
      query: z.strictObject({}),
      handler: async ({ reply }) => {
        await reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
      },
    }),
  ]
}
