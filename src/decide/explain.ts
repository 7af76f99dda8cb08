import { CideryError } from '../model/errors.ts'
import type { Instant } from '../model/instant.ts'
import type { Plan, Waiting } from '../model/plan.ts'
import type { Spec } from '../model/spec.ts'
import type { LiveJob, World } from '../model/world.ts'
import { decide } from './decide.ts'
import { poolNameOf } from './pools.ts'

/** What can be explained, and how it is written. */
export const explained = [
  'job/<id>',
  'host/<name or id>',
  'queue/<name>',
  'pool/<name>',
  'operation/<id>',
  'attempt/<id>',
  'class/<key>',
  'image/<name>',
] as const

export interface ExplainQuestion {
  readonly subject: string
  readonly now: Instant
}

/**
 * Why a job, host, queue, pool, operation or attempt waits: what a pass over the same world says of it. Empty when it does not wait.
 * Throws INVALID_INPUT for a subject of another kind.
 */
export function explain(spec: Spec, world: World, question: ExplainQuestion): readonly Waiting[] {
  return explainFrom(decide(spec, world, question.now), { spec, world, ...question })
}

/** The same from a plan that is at hand, made from this spec and world. */
export function explainFrom(plan: Plan, asked: ExplainQuestion & { readonly spec: Spec; readonly world: World }): readonly Waiting[] {
  const slash = asked.subject.indexOf('/')
  const kind = asked.subject.slice(0, slash)
  const name = asked.subject.slice(slash + 1)
  const { world } = asked
  switch (kind) {
    case 'job':
      return ofJob(plan, world.jobs.get(name), asked.now)
    case 'host':
      return ofHosts(
        plan,
        hostIds(world, (host) => host.id === name || host.name === name),
      )
    case 'pool':
      return ofHosts(
        plan,
        hostIds(world, (host) => poolNameOf(asked.spec, host) === name),
      )
    case 'queue':
      return plan.waiting.filter((waiting) => waiting.subject.startsWith(`class/${name}/`))
    case 'operation':
    case 'attempt':
    case 'class':
    case 'image':
      return plan.waiting.filter((waiting) => waiting.subject === asked.subject)
    default:
      throw new CideryError('INVALID_INPUT', `cannot explain "${asked.subject}"`, {
        hint: `use ${explained.join(', ')}`,
        problems: [{ path: 'subject', message: 'an unknown kind of thing', accepted: explained }],
      })
  }
}

type HostTest = (host: Parameters<typeof poolNameOf>[1] & { readonly id: string }) => boolean

function hostIds(world: World, test: HostTest): ReadonlySet<string> {
  const ids = new Set<string>()
  for (const host of world.hosts.values()) if (host.state !== 'retired' && test(host)) ids.add(host.id)
  return ids
}

/** A host's own entry, and those of its operations, attempts and images. */
function ofHosts(plan: Plan, ids: ReadonlySet<string>): Waiting[] {
  return plan.waiting.filter((waiting) => {
    const { subject } = waiting
    if (subject.startsWith('host/')) return ids.has(subject.slice('host/'.length))
    const isOnHost = subject.startsWith('operation/') || subject.startsWith('attempt/') || subject.startsWith('image/')
    return isOnHost && waiting.hosts.some((id) => ids.has(id))
  })
}

/** A queued job waits for what its class waits for, or for its own retry; one that the plan places does not wait. */
function ofJob(plan: Plan, job: LiveJob | undefined, now: Instant): Waiting[] {
  if (job === undefined) return []
  const ofAttempts = plan.waiting.filter((waiting) => job.attempts.some((id) => waiting.subject === `attempt/${id}`))
  if (job.state !== 'queued' || job.cancelRequested !== null) return ofAttempts
  if (plan.steps.some((step) => step.kind === 'assign' && step.jobId === job.id)) return []
  const ofClass = plan.waiting.filter((waiting) => waiting.subject === `class/${job.classKey}`)
  if (job.attempts.length > 0) return [...ofAttempts, ...ofClass.filter((waiting) => waiting.code === 'leaseRunning')]
  const isDelayed = job.notBefore > now
  return ofClass.filter((waiting) => waiting.code !== 'leaseRunning' && (waiting.code === 'retryDelay') === isDelayed)
}
