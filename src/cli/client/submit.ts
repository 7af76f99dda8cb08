import type { Cli } from '../cli.ts'
import type { Progress } from '../render/progress.ts'
import type { Api } from './api.ts'
import type { JobSpec, JobView } from './views.ts'

/** A job spec as people give it: what is left out is filled in by the queue. */
export type JobRequest = Partial<JobSpec>

export interface SubmitOptions {
  readonly request: JobRequest
  readonly progress: Progress
  readonly signal?: AbortSignal
}

/** Submits a job exactly once, however often the answer gets lost. */
export function submitJob(_cli: Cli, api: Api, { request, progress, signal }: SubmitOptions): Promise<JobView> {
  return api.call<JobView>('POST', '/jobs', {
    body: request,
    idempotencyKey: api.newKey(),
    signal,
    onRetry: () => void progress.say('the controller does not answer; trying again'),
  })
}
