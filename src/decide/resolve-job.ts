import { CideryError, type InputProblem } from '../model/errors.ts'
import { second } from '../model/instant.ts'
import { engineNames, featuresOfEngines, type EngineName, type JobSpec, type ResolvedJob } from '../model/job.ts'
import type { Queue, Spec } from '../model/spec.ts'
import { poolEngine } from './pools.ts'
import { compareText } from './sorted-map.ts'

/** Engines that boot an image, and so cannot run a job without one. */
const imageEngines: ReadonlySet<EngineName> = new Set(['qemu', 'tart'])

/**
 * A job spec with every default of its queue filled in. Throws INVALID_INPUT naming the field and what it may be:
 * an unknown queue or image, an image of another engine, an engine without its image, a network that no pool of the queue gives.
 *
 * @example resolveJob(defaultSpec, JobSpec.parse({ command: ['make'] })).timeoutS // 3600
 */
export function resolveJob(spec: Spec, job: JobSpec): ResolvedJob {
  const queue = spec.queues[job.queue]
  if (queue === undefined) throw refuse({ path: 'queue', message: `there is no queue "${job.queue}"`, accepted: names(spec.queues) })
  const { engine, image } = engineAndImage(spec, queue, job)
  refuseMissingFeatures(job, engine)
  return {
    spec: job,
    engine,
    image,
    shape: {
      cpu: job.shape.cpu ?? queue.shape.cpu,
      memoryMiB: job.shape.memoryMiB ?? queue.shape.memoryMiB,
      diskMiB: job.shape.diskMiB ?? queue.shape.diskMiB,
    },
    timeoutS: job.timeoutS ?? Math.max(1, Math.ceil(queue.timeout / second)),
    retries: job.retries ?? queue.retries,
    network: networkOf(spec, queue, { job, engine }),
    logBytes: spec.limits.jobLog,
  }
}

function engineAndImage(spec: Spec, queue: Queue, job: JobSpec): { engine: EngineName; image: string | null } {
  if (job.image !== undefined) return { engine: engineOfImage(spec, job.image, job.engine), image: job.image }
  const engine = job.engine ?? queue.engine
  // The queue's image is a default: it does not follow a job to another engine.
  const image = queue.image !== undefined && spec.images[queue.image]?.engine === engine ? queue.image : null
  if (image === null && imageEngines.has(engine)) {
    throw refuse({
      path: 'image',
      message: `engine ${engine} boots an image, and neither job nor queue names one`,
      accepted: imagesOf(spec, engine),
    })
  }
  return { engine, image }
}

function engineOfImage(spec: Spec, name: string, wanted: EngineName | undefined): EngineName {
  const image = spec.images[name]
  if (image === undefined) throw refuse({ path: 'image', message: `there is no image "${name}"`, accepted: imagesOf(spec, wanted) })
  if (wanted === undefined || wanted === image.engine) return image.engine
  const message = `image "${name}" is for engine ${image.engine}, not ${wanted}`
  throw refuse({ path: 'image', message, accepted: imagesOf(spec, wanted) })
}

function refuseMissingFeatures(job: JobSpec, engine: EngineName): void {
  const missing = (job.requires ?? []).filter((feature) => !featuresOfEngines[engine].includes(feature))
  if (missing.length === 0) return
  const able = engineNames.filter((name) => missing.every((feature) => featuresOfEngines[name].includes(feature)))
  const problem = {
    path: 'requires',
    message: `engine ${engine} gives no job ${missing.join(', ')}`,
    accepted: [...featuresOfEngines[engine]],
  }
  throw new CideryError('INVALID_INPUT', problem.message, {
    hint: able.length > 0 ? `use engine ${able.join(' or ')}` : 'leave it out: no engine of this version has it',
    problems: [problem],
  })
}

function networkOf(spec: Spec, queue: Queue, wanted: { job: JobSpec; engine: EngineName }): ResolvedJob['network'] {
  const { job, engine } = wanted
  const given = queueNetworks(spec, queue, engine)
  const network = job.network ?? given[0] ?? 'nat'
  if (given.length > 0 && !given.includes(network)) {
    throw refuse({
      path: 'network',
      message: `no pool of queue "${job.queue}" gives engine ${engine} the network "${network}"`,
      accepted: given,
    })
  }
  return network
}

/** What the pools of a queue let an engine's jobs have, the default first; without repetition. */
function queueNetworks(spec: Spec, queue: Queue, engine: EngineName): ResolvedJob['network'][] {
  const pools = queue.pools.length > 0 ? queue.pools : names(spec.pools)
  const found = new Set<ResolvedJob['network']>()
  for (const name of pools) {
    const pool = spec.pools[name]
    if (pool === undefined) continue
    for (const network of poolEngine(pool, engine)?.networks ?? []) found.add(network)
  }
  return [...found]
}

function imagesOf(spec: Spec, engine: EngineName | undefined): string[] {
  return names(spec.images).filter((name) => engine === undefined || spec.images[name]?.engine === engine)
}

function names(record: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(record).sort(compareText)
}

function refuse(problem: InputProblem): CideryError {
  const accepted = problem.accepted ?? []
  const hint = accepted.length > 0 ? `use ${accepted.join(', ')}` : 'add it to cidery.yaml and run cidery apply'
  return new CideryError('INVALID_INPUT', problem.message, { hint, problems: [problem] })
}
