import { formatDuration } from '../model/instant.ts'
import type { Waiting, WaitingCode } from '../model/plan.ts'
import type { JobClass, QueuedJob } from '../model/world.ts'
import type { Cause, Teller } from './causes.ts'
import type { ClassLine } from './filling.ts'
import type { Moment } from './fleet.ts'
import { counted } from './host-reasons.ts'
import { firstValue } from './sorted-map.ts'

/** Why the jobs of a class that were not placed in this pass wait: one entry per cause, never none while a job waits. */
export function classWaiting(line: ClassLine, moment: Moment, teller: Teller): Waiting[] {
  const { jobClass } = line
  const special = countSpecial(jobClass, moment)
  const jobCount = jobClass.jobs.size - special.held - line.placed
  if (jobCount <= 0) return special.waiting
  const subject = `class/${jobClass.key}`
  const oldest = line.head?.submittedAt ?? firstValue(jobClass.jobs)?.submittedAt ?? moment.now
  const causes = line.stopped === 'queueLimit' ? [queueLimitCause(jobClass, moment)] : teller.causesOf(jobClass, line.fit)
  const waiting = causes.map(({ code, message, cure, hosts, hostCount, since }) => ({
    subject,
    code,
    message: line.hold !== null && code === 'noCapacity' ? `${message}; ${line.hold.host.name} is kept free for it` : message,
    cure,
    hosts,
    hostCount,
    jobCount,
    since: Math.max(oldest, since ?? oldest),
  }))
  return [...special.waiting, ...waiting]
}

/** Jobs of a class that no host could help now: cancelled, waiting for their retry, or with an attempt that may be alive. */
function countSpecial(jobClass: JobClass, moment: Moment): { held: number; waiting: Waiting[] } {
  let cancelled = 0
  const delayed: QueuedJob[] = []
  const busy: QueuedJob[] = []
  for (const job of jobClass.special.values()) {
    if (job.cancelRequested) cancelled += 1
    else if (job.isBusy) busy.push(job)
    else if (job.notBefore > moment.now) delayed.push(job)
  }
  const waiting: Waiting[] = []
  if (delayed.length > 0) waiting.push(delayEntry(jobClass, delayed, moment))
  if (busy.length > 0) waiting.push(busyEntry(jobClass, busy))
  return { held: cancelled + delayed.length + busy.length, waiting }
}

function delayEntry(jobClass: JobClass, delayed: readonly QueuedJob[], moment: Moment): Waiting {
  const next = Math.min(...delayed.map((job) => job.notBefore))
  moment.horizon.note(next)
  const message = `${counted(delayed.length, 'job')} failed for a fault of the infrastructure; the next try is in ${formatDuration(next - moment.now)}`
  return specialEntry(jobClass, delayed, {
    code: 'retryDelay',
    message,
    cure: `nothing to do; cidery job show ${delayed[0]?.id ?? ''} tells what failed`,
  })
}

function busyEntry(jobClass: JobClass, busy: readonly QueuedJob[]): Waiting {
  const message = `${counted(busy.length, 'job')} may still be running in an attempt that did not report its end`
  return specialEntry(jobClass, busy, {
    code: 'leaseRunning',
    message,
    cure: `cidery job show ${busy[0]?.id ?? ''} names the host; its report, reboot or retirement ends the wait`,
  })
}

function specialEntry(jobClass: JobClass, jobs: readonly QueuedJob[], told: { code: WaitingCode; message: string; cure: string }): Waiting {
  const since = Math.min(...jobs.map((job) => job.submittedAt))
  return { subject: `class/${jobClass.key}`, ...told, hosts: [], hostCount: 0, jobCount: jobs.length, since }
}

function queueLimitCause(jobClass: JobClass, moment: Moment): Cause {
  const { queue } = jobClass
  const limit = moment.spec.queues[queue]?.maxRunning ?? 0
  const message = `queue ${queue} runs as many jobs as its limit allows (${limit})`
  return {
    code: 'queueLimit',
    message,
    cure: `wait, or raise queues.${queue}.maxRunning in cidery.yaml`,
    hosts: [],
    hostCount: 0,
    since: null,
  }
}
