import { z } from 'zod'
import { ExplainView, WaitingView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { formatDuration } from '../model/instant.ts'
import type { Waiting } from '../model/plan.ts'
import { readHost } from '../record/hosts.ts'
import { readJob } from '../record/jobs.ts'
import { readOperation } from '../record/operations.ts'
import { lastHeard } from './host-views.ts'
import { waitingView } from './job-views.ts'
import { route, type Route } from './route.ts'
import type { Services } from './services.ts'

type Fact = z.infer<typeof ExplainView>['facts'][number]
const PlanView = z.strictObject({
  steps: z.array(z.looseObject({ kind: z.string() })),
  waiting: z.array(WaitingView),
  nextAt: z.number().nullable(),
})

/** Why a thing waits, by the functions that decide; and the plan of the last pass. */
export function explainRoutes(services: Services): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/explain/*subject',
      summary: 'Why job/…, host/…, queue/…, pool/…, image/… or operation/… waits, and the next thing to do',
      tag: 'explain',
      access: 'read',
      params: z.strictObject({ subject: z.string().min(3).max(300) }),
      response: ExplainView,
      handler: async (_context, { params }) => {
        const facts = await factsOf(services, params.subject)
        const waiting = await services.judgement.explain(params.subject, services.clock.now())
        return { subject: params.subject, summary: summaryOf(facts, waiting), waiting: waiting.map(waitingView), facts: [...facts] }
      },
    }),
    route({
      method: 'GET',
      path: '/plan',
      summary: 'What the last pass decided to do, and what waits',
      tag: 'explain',
      access: 'read',
      response: PlanView,
      handler: async () => {
        const plan = services.plan()
        return { steps: plan.steps.map((step) => ({ ...step })), waiting: plan.waiting.map(waitingView), nextAt: plan.nextAt }
      },
    }),
  ]
}

function summaryOf(facts: readonly Fact[], waiting: readonly Waiting[]): string {
  const [first] = waiting
  if (first !== undefined) return first.message
  const state = facts.find(({ name }) => name === 'state')
  return state === undefined ? 'it waits for nothing' : `it is ${state.value}, and waits for nothing`
}

async function factsOf(services: Services, subject: string): Promise<readonly Fact[]> {
  const slash = subject.indexOf('/')
  const name = subject.slice(slash + 1)
  switch (subject.slice(0, slash)) {
    case 'job':
      return jobFacts(services, name)
    case 'host':
      return hostFacts(services, name)
    case 'operation':
      return operationFacts(services, name)
    case 'queue':
      return named(services.spec().queues, 'queue', name)
    case 'image':
      return named(services.spec().images, 'image', name)
    case 'pool':
      return named(services.spec().pools, 'pool', name)
    default:
      return []
  }
}

async function jobFacts(services: Services, id: string): Promise<readonly Fact[]> {
  const job = await services.recorder.read((db) => readJob(db, id))
  return [
    { name: 'state', value: job.state },
    { name: 'queue', value: job.queue },
    { name: 'attempts', value: String(job.attempts) },
    { name: 'age', value: formatDuration((job.endedAt ?? services.clock.now()) - job.submittedAt) },
  ]
}

async function hostFacts(services: Services, idOrName: string): Promise<readonly Fact[]> {
  const host = await services.recorder.read((db) => readHost(db, idOrName))
  const heard = lastHeard(services, host)
  return [
    { name: 'state', value: host.state },
    { name: 'schedulable', value: host.schedulable.kind },
    { name: 'last seen', value: heard === null ? 'never' : `${formatDuration(services.clock.now() - heard)} ago` },
    { name: 'failures in a row', value: String(host.failureStreak) },
  ]
}

async function operationFacts(services: Services, id: string): Promise<readonly Fact[]> {
  const operation = await services.recorder.read((db) => readOperation(db, id))
  return [
    { name: 'state', value: operation.state },
    { name: 'kind', value: operation.request.kind },
    { name: 'reason', value: operation.reason },
  ]
}

function named(record: Readonly<Record<string, unknown>>, kind: string, name: string): readonly Fact[] {
  if (!Object.hasOwn(record, name)) {
    throw new CideryError('NOT_FOUND', `the spec has no ${kind} ${name}`, { hint: `known: ${Object.keys(record).toSorted().join(', ')}` })
  }
  return [{ name: kind, value: name }]
}
