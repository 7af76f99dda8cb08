import { z } from 'zod'
import { Name } from './id.ts'
import { imagePolicy } from './image/policy.ts'
import { EngineName } from './job.ts'
import { operationLimits } from './operation.ts'
import { duration, DurationText, size } from './quantity.ts'
import { Labels, Shape } from './shape.ts'

export const networkModes = ['nat', 'host', 'none'] as const

export const PoolEngine = z.strictObject({
  /** Sandboxes at once; default: as many as the engine allows on that host. */
  slots: z.int().positive().max(1000).optional(),
  /** `enforced`: a shape that the host cannot enforce is refused. `advisory`: it is only counted. */
  limits: z.enum(['enforced', 'advisory']).default('enforced'),
  /** What a job's network may be; the first is the default. */
  networks: z.array(z.enum(networkModes)).min(1).default(['nat', 'none']),
  /** Queues, and how many sandboxes each host keeps started for the next job of theirs that asks for nothing else. */
  warm: z.record(Name, z.int().positive().max(100)).optional(),
})

export type PoolEngine = z.infer<typeof PoolEngine>

export const Pool = z.strictObject({
  provider: z.literal('static').default('static'),
  /** Host names or globs (`mini-*`); a host that enrols with this pool's name belongs to it as well. */
  hosts: z.array(z.string().min(1)).default([]),
  labels: Labels.default({}),
  engines: z.partialRecord(EngineName, PoolEngine).default({}),
  readiness: z
    .strictObject({
      checkInterval: duration('5m'),
      checkMaxAge: duration('15m'),
      bootProofMaxAge: duration('24h'),
    })
    .prefault({}),
  /** Images that cidery builds and keeps on hosts of the pool; default: all of the engines that they have. */
  images: z.array(Name).optional(),
  /** Images in the order in which hosts of the pool build and fetch them; also what is taken first where all else is even. */
  prefer: z.array(Name).optional(),
  /** Infrastructure failures in a row after which a host is quarantined. */
  quarantineAfter: z.int().positive().default(3),
  /** For hosts with an ill that only a restart of the machine cures. Their agents must allow it (`--allow-reboot`). */
  repair: z
    .strictObject({
      /** Hosts of the pool that cidery restarts at once; 0: none, ever. */
      reboots: z.int().nonnegative().max(1000).default(1),
      /** No host more often than this. */
      rebootEvery: duration('1h'),
    })
    .prefault({}),
})
export type Pool = z.infer<typeof Pool>

export const Queue = z.strictObject({
  /** Pools that serve this queue; empty: all. */
  pools: z.array(Name).default([]),
  /** Share of busy fleets relative to other queues. */
  weight: z.number().positive().max(1000).default(1),
  maxRunning: z.int().positive().optional(),
  maxQueued: z.int().positive().default(10_000),
  engine: EngineName.default('user'),
  image: Name.optional(),
  shape: Shape.prefault({ cpu: 1, memoryMiB: 1024, diskMiB: 4096 }),
  timeout: duration('1h'),
  retries: z.int().min(0).max(10).default(2),
  /** Names of client variables that `cidery run` passes on, besides those the job sets itself. */
  environment: z.array(z.string()).default([]),
})
export type Queue = z.infer<typeof Queue>

/** A line of golden images: what the placement needs to know, and how it is built, kept and brought to hosts. */
export const Image = z.strictObject({ engine: EngineName, /** Size on a host's disk. */ size: size('1GiB'), ...imagePolicy })
export type Image = z.infer<typeof Image>

const operationLimitSetting = z.strictObject({
  warning: DurationText.optional(),
  hard: DurationText.optional(),
  reconnect: DurationText.optional(),
})

export const Limits = z.strictObject({
  /** A job's log is cut with a mark after this much. */
  jobLog: size('1GiB'),
  artifactBytes: size('10GiB'),
  uploadBytes: size('10GiB'),
  /** Free space on the controller's disk below which new jobs are refused with 507. */
  controllerDiskFloor: size('1GiB'),
  logRetention: duration('30d'),
  artifactRetention: duration('30d'),
  historyRetention: duration('90d'),
  journalRetention: duration('365d'),
  attemptLease: duration('30m'),
  syncPoll: duration('25s'),
  /** Missed syncs before a host is lost. */
  missedSyncs: z.int().min(2).max(20).default(3),
  cancelGrace: duration('10s'),
  sweepGrace: duration('2s'),
  operationGrace: duration('3s'),
  operations: z
    .partialRecord(
      z.enum(Object.keys(operationLimits) as [keyof typeof operationLimits, ...(keyof typeof operationLimits)[]]),
      operationLimitSetting,
    )
    .default({}),
  /** Waiting time after an infrastructure failure before the job is tried again; doubles each time up to ten minutes. */
  retryDelay: duration('5s'),
  /** A host's own key is replaced by another after this long. */
  hostKeyMaxAge: duration('30d'),
  /** How long the first job of a queue may wait for room before one host is kept free for it. */
  holdAfter: duration('10m'),
})
export type Limits = z.infer<typeof Limits>

/** What the operator wants: `cidery.yaml`. Unknown fields are errors. */
export const Spec = z.strictObject({
  version: z.literal(1),
  pools: z.record(Name, Pool).default({ default: Pool.parse({}) }),
  images: z.record(Name, Image).default({}),
  queues: z.record(Name, Queue).default({ default: Queue.parse({}) }),
  limits: Limits.prefault({}),
})
export type Spec = z.infer<typeof Spec>

/** The spec that a fresh controller starts with: one pool and one queue, both named `default`. */
export const defaultSpec: Spec = Spec.parse({ version: 1 })
