import { CideryError } from '../../model/errors.ts'
import { formatDuration, second } from '../../model/instant.ts'
import type { Outcome } from '../../model/job.ts'
import type { ExitRecord, Supervision } from '../../ports/supervisors.ts'
import type { AttemptRecord } from './attempt-record.ts'

type InfrastructurePart = Extract<Outcome, { kind: 'infrastructure' }>['part']

/** A fault of cidery or the machine: another host may do better. */
export function infrastructure(part: InfrastructurePart, error: unknown): Outcome {
  const code = error instanceof CideryError ? error.code : 'INTERNAL'
  return { kind: 'infrastructure', part: code === 'STORAGE_FULL' ? 'disk' : part, code, message: messageOf(error) }
}

/** A fault of the job's own set-up: it would fail the same way everywhere. */
export function setupFailed(step: string, error: unknown): Outcome {
  return { kind: 'setupFailed', step, message: messageOf(error) }
}

/** What went wrong, with its causes, each said once. */
export function messageOf(error: unknown): string {
  const parts: string[] = []
  for (let each: unknown = error; each !== undefined && parts.length < 4; each = each instanceof Error ? each.cause : undefined) {
    const text = each instanceof Error ? each.message : JSON.stringify(each)
    if (!parts.some((part) => part.includes(text))) parts.push(text)
  }
  return parts.join(': ').slice(0, 2000)
}

/** How an attempt ends that was stopped before its command ended by itself; null when nobody stopped it. */
export function stopOutcome(record: Pick<AttemptRecord, 'cancelBy' | 'leaseEnded'>): Outcome | null {
  if (record.cancelBy !== null) return { kind: 'cancelled', by: record.cancelBy }
  if (!record.leaseEnded) return null
  const message = 'the host heard from no controller until the lease of the attempt ran out'
  return { kind: 'infrastructure', part: 'network', code: 'UNREACHABLE', message }
}

function outcomeOfExit(exit: ExitRecord, record: Pick<AttemptRecord, 'cancelBy' | 'leaseEnded' | 'job'>): Outcome {
  switch (exit.cause) {
    case 'timedOut':
      return { kind: 'timedOut', afterS: record.job.timeoutS }
    case 'launchFailed':
      return { kind: 'infrastructure', part: 'supervisor', code: 'ENGINE_FAILED', message: exit.message }
    case 'cancelled':
      return stopOutcome(record) ?? { kind: 'cancelled', by: 'the host' }
    case 'exited':
      if (exit.code !== null) return { kind: 'exited', code: exit.code }
      if (exit.signal !== null) return { kind: 'signalled', signal: exit.signal }
      return { kind: 'infrastructure', part: 'supervisor', code: 'INTERNAL', message: 'the exit record has neither code nor signal' }
  }
}

/** The one outcome of an attempt whose supervisor is no longer running. */
export function outcomeOf(supervision: Supervision, record: Pick<AttemptRecord, 'cancelBy' | 'leaseEnded' | 'job'>): Outcome {
  switch (supervision.state) {
    case 'ended':
      return outcomeOfExit(supervision.exit, record)
    case 'dead':
      return {
        kind: 'infrastructure',
        part: 'supervisor',
        code: 'INTERNAL',
        message: `the supervisor ended without an exit record: ${supervision.reason}`,
      }
    case 'none':
    case 'running':
      return {
        kind: 'infrastructure',
        part: 'supervisor',
        code: 'INTERNAL',
        message: `the supervisor is ${supervision.state} where it should have ended`,
      }
  }
}

/** The outcome of an attempt that a restart of its machine cut off. */
export function rebootOutcome(silentMs: number): Outcome {
  const after = silentMs >= second ? `, ${formatDuration(silentMs)} after the last word from a controller` : ''
  return { kind: 'infrastructure', part: 'host', code: 'UNAVAILABLE', message: `the host restarted while the attempt ran${after}` }
}
