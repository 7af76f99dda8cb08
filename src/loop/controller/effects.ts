import type { Effects } from '../../act/carry-out.ts'
import type { Milliseconds } from '../../model/instant.ts'
import { limitsFor } from '../../model/operation-limits.ts'
import type { Spec } from '../../model/spec.ts'
import type { Ids } from '../../ports/random.ts'
import { assignJob, endAttemptByProof, findAttemptRow, requestCancelOfAttempt } from '../../record/attempts.ts'
import { system, type Applied, type Recorder, type RecordTx } from '../../record/commit.ts'
import { loseHost, quarantineHost } from '../../record/hosts.ts'
import { endJob, findJob } from '../../record/jobs.ts'
import { requireEpoch } from '../../record/lead.ts'
import { killOverdue, moveOperation } from '../../record/operations.ts'
import { rebootHost, returnHost } from '../../record/repairs.ts'
import { attemptOf } from '../../record/rows.ts'
import { removeSandboxByStep, warnSandbox } from '../../record/sandboxes.ts'
import { imageEffects } from './image-effects.ts'

export interface EffectOptions {
  readonly recorder: Recorder
  readonly ids: Ids
  readonly spec: () => Spec
  /** How long a host has been silent by now. */
  readonly silentMs: (hostId: string) => Milliseconds
}

/** What the leader's steps do to the record, each conditional on the epoch that decided it and on the generations that it carries. */
export function leaderEffects(options: EffectOptions, epoch: number): Effects {
  const { recorder, ids } = options
  const limits = () => options.spec().limits

  function write(work: (tx: RecordTx) => Promise<Applied>): Promise<Applied> {
    return recorder.write(system, async (tx) => {
      await requireEpoch(tx.db, epoch)
      return work(tx)
    })
  }

  return {
    assign: (step) => {
      const attemptId = ids.next('att')
      return write((tx) => assignJob(tx, { ...step, attemptId, leaseMs: limits().attemptLease }))
    },
    cancelQueued: (step) =>
      write(async (tx) => {
        const job = await findJob(tx.db, step.jobId)
        if (job === null || job.state !== 'queued' || job.generation !== step.jobGeneration) return 'stale'
        return (await endJob(tx, job, { kind: 'cancelled', by: job.cancelRequested?.by ?? system.actor })) === null ? 'stale' : 'done'
      }),
    endAttempt: (step) => write((tx) => endAttemptByProof(tx, { ...step, retryDelayMs: limits().retryDelay })),
    cancelAttempt: (step) =>
      write(async (tx) => {
        const row = await findAttemptRow(tx.db, step.attemptId)
        if (row === undefined || row.generation !== step.generation) return 'stale'
        return requestCancelOfAttempt(tx, attemptOf(row), step.by)
      }),
    // A busy database may carry the step out long after it was decided; who spoke meanwhile is not lost.
    hostLost: (step) => write(async (tx) => (options.silentMs(step.hostId) < step.silentMs ? 'stale' : loseHost(tx, step))),
    quarantineHost: (step) => write((tx) => quarantineHost(tx, step)),
    rebootHost: (step) => {
      const operationId = ids.next('op')
      return write((tx) => rebootHost(tx, { ...step, operationId, limits: limitsFor(options.spec(), 'reboot') }))
    },
    returnHost: (step) => write((tx) => returnHost(tx, step)),
    moveOperation: (step) => write((tx) => moveOperation(tx, step)),
    killOperation: (step) => write((tx) => killOverdue(tx, step)),
    warnSandbox: (step) => write((tx) => warnSandbox(tx, step)),
    removeSandbox: (step) => write((tx) => removeSandboxByStep(tx, step)),
    ...imageEffects({ write, ids, spec: options.spec }),
  }
}
