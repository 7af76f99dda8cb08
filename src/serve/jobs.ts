import { z } from 'zod'
import { JobList, JobListQuery, JobView } from '../model/api.ts'
import { CideryError } from '../model/errors.ts'
import { JobId } from '../model/id.ts'
import { allows } from '../model/identity.ts'
import { JobSpec, type Job, type ResolvedJob } from '../model/job.ts'
import type { Waiting } from '../model/plan.ts'
import { attemptsOfJobs } from '../record/attempts.ts'
import { digestsOfJob, missingBlobs, touchBlobs } from '../record/blobs.ts'
import { cancelJob } from '../record/cancel.ts'
import { hostNames, readHost } from '../record/hosts.ts'
import { listJobs, readJob, requireJobCan, submitJob } from '../record/jobs.ts'
import { jobView, viewJobs, waitingOfJob } from './job-views.ts'
import { route, type Route, type RouteContext } from './route.ts'
import { authorOf, type Services } from './services.ts'

const JobParams = z.strictObject({ id: JobId })

/** Submit, look at, cancel and repeat jobs. */
export function jobRoutes(services: Services): readonly Route[] {
  const { recorder } = services
  const waitingOf = (job: Job): readonly Waiting[] => waitingOfJob(job, services.plan(), services.judgement.classOf(job))

  return [
    route({
      method: 'POST',
      path: '/jobs',
      summary: 'Submit a job',
      tag: 'jobs',
      access: 'jobs',
      body: JobSpec,
      response: JobView,
      status: 201,
      idempotent: true,
      bodyLimit: 16 * 1024 * 1024,
      handler: async (context, { body }) => {
        requireQueue(context, body.queue)
        return submit(services, context, { resolved: services.judgement.resolveJob(services.spec(), body) })
      },
    }),
    route({
      method: 'GET',
      path: '/jobs',
      summary: 'Jobs, newest first',
      tag: 'jobs',
      access: 'read',
      query: JobListQuery,
      response: JobList,
      handler: async (_context, { query }) =>
        recorder.read(async (db) => {
          const hostId = query.host === undefined ? undefined : (await readHost(db, query.host)).id
          const page = await listJobs(db, { queue: query.queue, state: query.state, hostId }, query)
          return { items: await viewJobs(db, page.items, waitingOf), nextCursor: page.nextCursor }
        }),
    }),
    route({
      method: 'GET',
      path: '/jobs/:id',
      summary: 'A job with its attempts, and why it waits',
      tag: 'jobs',
      access: 'read',
      params: JobParams,
      response: JobView,
      handler: async (_context, { params }) => showJob(services, params.id),
    }),
    route({
      method: 'POST',
      path: '/jobs/:id/cancel',
      summary: 'End a job; asking again changes nothing',
      tag: 'jobs',
      access: 'jobs',
      params: JobParams,
      response: JobView,
      handler: async (context, { params }) => {
        requireQueue(context, (await recorder.read((db) => readJob(db, params.id))).queue)
        await recorder.write(authorOf(context), (tx) => cancelJob(tx, params.id))
        return showJob(services, params.id)
      },
    }),
    route({
      method: 'POST',
      path: '/jobs/:id/rerun',
      summary: 'Submit a job that ended once more',
      tag: 'jobs',
      access: 'jobs',
      params: JobParams,
      response: JobView,
      status: 201,
      idempotent: true,
      handler: async (context, { params }) => {
        const job = await recorder.read((db) => readJob(db, params.id))
        requireQueue(context, job.queue)
        requireJobCan(job, 'rerun')
        return submit(services, context, { resolved: services.judgement.resolveJob(services.spec(), job.resolved.spec), rerunOf: job.id })
      },
    }),
  ]
}

function requireQueue(context: RouteContext, queue: string): void {
  if (allows(context.principal, 'jobs', queue)) return
  throw new CideryError('FORBIDDEN', `this credential may not submit or cancel jobs of the queue ${queue}`, {
    details: { queues: context.principal.queues },
  })
}

interface Submission {
  readonly resolved: ResolvedJob
  readonly rerunOf?: string
}

async function submit(services: Services, context: RouteContext, submission: Submission): Promise<JobView> {
  await requireRoom(services)
  const spec = services.spec()
  const { resolved } = submission
  const maxQueued = spec.queues[resolved.spec.queue]?.maxQueued ?? 0
  const id = services.ids.next('job')
  return services.recorder.write(
    authorOf(context),
    async (tx) => {
      const digests = digestsOfJob(resolved.spec)
      const [missing] = await missingBlobs(tx.db, digests)
      if (missing !== undefined) throw missingBlob(missing)
      await touchBlobs(tx.db, digests, tx.now)
      const job = await submitJob(tx, { ...submission, id, maxQueued })
      return jobView({ job, attempts: [], hostNames: new Map(), waiting: [] })
    },
    context.write,
  )
}

function missingBlob(digest: string): CideryError {
  return new CideryError('INVALID_INPUT', `the bytes ${digest} are not here (any more)`, {
    hint: 'upload them with POST /api/v1/uploads first',
    problems: [{ path: 'source', message: `no upload has the digest ${digest}` }],
  })
}

/** New work is refused while the controller's disk is nearly full, so that the running jobs can end. */
async function requireRoom(services: Services): Promise<void> {
  const floor = services.spec().limits.controllerDiskFloor
  const free = await services.blobs.freeBytes()
  if (free >= floor) return
  throw new CideryError('STORAGE_FULL', `the controller's disk has ${free} bytes left, below its floor of ${floor}`, {
    hint: 'free some space there, shorten logRetention or artifactRetention, or lower controllerDiskFloor in cidery.yaml',
    details: { freeBytes: free, floorBytes: floor },
  })
}

async function showJob(services: Services, id: string): Promise<JobView> {
  const found = await services.recorder.read(async (db) => {
    const job = await readJob(db, id)
    const attempts = (await attemptsOfJobs(db, [id])).get(id) ?? []
    return {
      job,
      attempts,
      hostNames: await hostNames(
        db,
        attempts.map(({ hostId }) => hostId),
      ),
    }
  })
  return jobView({ ...found, waiting: await waitingNow(services, found.job) })
}

/** The reasons of the last pass; a job that is newer than that is asked for by itself. */
async function waitingNow(services: Services, job: Job): Promise<readonly Waiting[]> {
  const known = waitingOfJob(job, services.plan(), services.judgement.classOf(job))
  return job.state === 'ended' || known.length > 0 ? known : services.judgement.explain(`job/${job.id}`, services.clock.now())
}
