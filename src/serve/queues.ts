import { z } from 'zod'
import { QueueView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import type { Waiting } from '../model/plan.ts'
import type { Queue } from '../model/spec.ts'
import { countByQueue, type QueueCounts } from '../record/jobs.ts'
import { secretNames } from '../record/secrets.ts'
import { waitingView } from './job-views.ts'
import { route, type Route } from './route.ts'
import type { Services } from './services.ts'

type View = z.infer<typeof QueueView>
const QueueList = z.strictObject({ items: z.array(QueueView), nextCursor: z.string().nullable() })

/** Queues of the spec, how full they are, and what their jobs wait for. */
export function queueRoutes(services: Services): readonly Route[] {
  async function views(): Promise<View[]> {
    const { counts, secrets } = await services.recorder.read(async (db) => ({
      counts: await countByQueue(db),
      secrets: await secretNames(db),
    }))
    const byName = new Map(counts.map((count) => [count.queue, count]))
    const queues = Object.entries(services.spec().queues).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return queues.map((queue) => queueView(services, queue, { counts: byName.get(queue[0]), secrets: secrets.get(queue[0]) ?? [] }))
  }

  return [
    route({
      method: 'GET',
      path: '/queues',
      summary: 'Queues with their counts and reasons',
      tag: 'queues',
      access: 'read',
      response: QueueList,
      handler: async () => ({ items: await views(), nextCursor: null }),
    }),
    route({
      method: 'GET',
      path: '/queues/:name',
      summary: 'A queue',
      tag: 'queues',
      access: 'read',
      params: z.strictObject({ name: z.string() }),
      response: QueueView,
      handler: async (_context, { params }) => {
        const all = await views()
        const view = all.find(({ name }) => name === params.name)
        if (view === undefined)
          throw new CideryError('NOT_FOUND', `the spec has no queue ${params.name}`, {
            hint: `queues: ${all.map(({ name }) => name).join(', ')}`,
          })
        return view
      },
    }),
  ]
}

const noJobs: Omit<QueueCounts, 'queue'> = { queued: 0, running: 0, oldestQueuedAt: null }

function queueView(
  services: Services,
  queue: readonly [string, Queue],
  has: { readonly counts: QueueCounts | undefined; readonly secrets: readonly string[] },
): View {
  const [name, { pools, weight, maxRunning, maxQueued }] = queue
  const { queued, running, oldestQueuedAt } = has.counts ?? noJobs
  return {
    name,
    pools: [...pools],
    weight,
    maxRunning: maxRunning ?? null,
    maxQueued,
    queued,
    running,
    oldestQueuedAt,
    waiting: waitingOfQueue(services.plan().waiting, name).map(waitingView),
    secrets: [...has.secrets],
  }
}

/** A class is named by its queue first. */
function waitingOfQueue(waiting: readonly Waiting[], queue: string): readonly Waiting[] {
  return waiting.filter(({ subject }) => subject === `queue/${queue}` || subject.startsWith(`class/${queue}/`))
}
