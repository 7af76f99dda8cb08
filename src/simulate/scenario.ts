import { z } from 'zod'
import { Name } from '../model/id.ts'
import { EngineName } from '../model/job.ts'
import { Labels, Shape } from '../model/shape.ts'
import { networkModes } from '../model/spec.ts'
import { Duration, Moment } from './duration.ts'
import { Fault } from './faults/registry.ts'

export const ScenarioEngine = z.strictObject({
  name: EngineName,
  slots: z.int().positive().max(1000),
  /** Images that lie on the host; none for an engine without images. */
  images: z.array(Name).default([]),
  /** Shortest and longest boot, ms. */
  bootMs: z.tuple([Moment, Moment]),
  /** Shortest and longest time that a clone, its end, or a short command inside takes; default: some tenths of a second. */
  workMs: z.tuple([Moment, Moment]).optional(),
  /** What it can give a job; default: `nat` and `none`. */
  networks: z.array(z.enum(networkModes)).optional(),
  /** Whether it can keep sandboxes started before their jobs are there. */
  warms: z.boolean().default(false),
})

export const ScenarioHost = z.strictObject({
  name: Name,
  pool: Name.default('default'),
  os: z.enum(['linux', 'macos']).default('macos'),
  labels: Labels.default({}),
  engines: z.array(ScenarioEngine).min(1),
  capacity: Shape.prefault({ cpu: 8, memoryMiB: 16_384, diskMiB: 250_000 }),
})
export type ScenarioHost = z.infer<typeof ScenarioHost>

export const ScenarioJob = z.strictObject({
  /** Milliseconds after the start at which it is submitted. */
  at: Moment,
  /** Names it in the journal; the same in every replay. */
  key: z.string().min(1).max(200),
  queue: Name.default('default'),
  engine: EngineName.optional(),
  image: Name.optional(),
  labels: Labels.default({}),
  shape: Shape.partial().default({}),
  priority: z.int().min(-100).max(100).default(0),
  /** How long its command runs when nothing hinders it, ms. */
  runsMs: Moment,
  code: z.int().min(0).max(255).default(0),
  timeoutS: z.int().positive().optional(),
  logBytes: z.int().nonnegative().max(100_000).default(64),
  /** Ignores TERM. */
  stubborn: z.boolean().default(false),
  /** Gets the queue's secret TOKEN and writes it to its log. */
  secret: z.boolean().default(false),
})
export type ScenarioJob = z.infer<typeof ScenarioJob>

/** `{ name: mini, count: 3, … }` stands for mini-1, mini-2 and mini-3. */
const ScenarioHosts = z
  .array(ScenarioHost.extend({ count: z.int().positive().max(1000).optional() }))
  .transform((entries) =>
    entries.flatMap(({ count, ...host }) =>
      count === undefined ? [host] : numbered(count).map((n) => ({ ...host, name: `${host.name}-${n}` })),
    ),
  )

/** `{ key: job, count: 3, every: 10s, … }` stands for job-1, job-2 and job-3, each ten seconds after the one before. */
const ScenarioJobs = z
  .array(ScenarioJob.extend({ count: z.int().positive().max(10_000).optional(), every: Moment.default(0) }))
  .transform((entries) =>
    entries.flatMap(({ count, every, ...job }) =>
      count === undefined ? [job] : numbered(count).map((n) => ({ ...job, key: `${job.key}-${n}`, at: job.at + (n - 1) * every })),
    ),
  )

function numbered(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

/** All that goes into a run. The same scenario gives the same journal, byte for byte. */
export const Scenario = z.strictObject({
  name: z.string().default(''),
  seed: z.int().nonnegative(),
  /** How long faults and jobs go on, ms of virtual time. */
  durationMs: Duration,
  /** How long the fleet gets afterwards to end every job and to be ready again; 0: it is not looked at. */
  calmMs: Moment,
  controllers: z.int().min(1).max(3).default(1),
  /** `cidery.yaml`, as text. */
  spec: z.string(),
  hosts: ScenarioHosts,
  jobs: ScenarioJobs,
  /** In any order; each says when. */
  faults: z.array(Fault).default([]),
})
export type Scenario = z.infer<typeof Scenario>
