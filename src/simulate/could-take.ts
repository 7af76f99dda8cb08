import type { Spec } from '../model/spec.ts'
import type { ScenarioHost, ScenarioJob } from './scenario.ts'

/** Whether a host could take a job if all were well: it is in a pool of the queue, and has the engine and the image. */
export function couldTake(spec: Spec, host: ScenarioHost, job: Pick<ScenarioJob, 'queue' | 'engine' | 'image'>): boolean {
  const queue = spec.queues[job.queue]
  if (queue === undefined || (queue.pools.length > 0 && !queue.pools.includes(host.pool))) return false
  const image = job.image ?? queue.image
  const wanted = job.engine ?? queue.engine
  return host.engines.some(
    ({ name, images }) => (wanted === undefined || name === wanted) && (image === undefined || images.includes(image)),
  )
}
