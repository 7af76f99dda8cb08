import { z } from 'zod'

/** What happened to what; `job.ended`, `host.cordoned`. New kinds are added, never renamed. */
export const eventKinds = [
  'controller.started',
  'controller.led',
  'spec.applied',
  'job.submitted',
  'job.assigned',
  'job.running',
  'job.retried',
  'job.cancelRequested',
  'job.ended',
  'attempt.ended',
  'attempt.refused',
  'host.enrolled',
  'host.up',
  'host.lost',
  'host.cordoned',
  'host.uncordoned',
  'host.draining',
  'host.quarantined',
  'host.repairing',
  'host.returned',
  'host.retired',
  'host.keyAsked',
  'host.keyRotated',
  'host.readiness',
  'host.rebooted',
  'operation.requested',
  'operation.changed',
  'operation.ended',
  'image.recipeSet',
  'image.build.asked',
  'image.build.adopted',
  'image.build.started',
  'image.build.skipped',
  'image.build.cancelRequested',
  'image.build.candidate',
  'image.build.validated',
  'image.build.failed',
  'image.build.removed',
  'image.build.pinned',
  'image.canaryStarted',
  'image.promoted',
  'image.rolledBack',
  'image.ready',
  'image.notReady',
  'image.forced',
  'image.forceCleared',
  'sandbox.created',
  'sandbox.changed',
  'sandbox.removed',
  'sandbox.expiring',
  'secret.set',
  'secret.removed',
  'user.created',
  'user.changed',
  'user.removed',
  'user.login',
  'user.loginFailed',
  'user.logout',
  'token.created',
  'token.revoked',
  'enrolment.created',
  'enrolment.used',
  'enrolment.refused',
  'enrolment.removed',
  'access.denied',
  'audit.exported',
  'exec.opened',
  'journal.cut',
  'state.copied',
] as const
export const EventKind = z.enum(eventKinds)
export type EventKind = z.infer<typeof EventKind>

/** One fact in the journal: who did what to what, when, from where, with which result. */
export const Event = z.strictObject({
  kind: EventKind,
  at: z.number(),
  /** `user:alice`, `token:ci`, `host:mini-1`, `system`. */
  actor: z.string(),
  /** `job/job_…`, `host/mini-1`, `spec`. */
  subject: z.string(),
  /** Address that the request came from; null for what cidery did itself. */
  origin: z.string().nullable(),
  result: z.enum(['ok', 'refused', 'failed']),
  data: z.record(z.string(), z.unknown()),
})
export type Event = z.infer<typeof Event>

/** An event in the sealed journal: numbered without holes, each hash covering the one before. */
export const SealedEvent = Event.extend({
  number: z.int().positive(),
  epoch: z.int(),
  seq: z.int(),
  previousHash: z.string(),
  hash: z.string(),
})
export type SealedEvent = z.infer<typeof SealedEvent>
