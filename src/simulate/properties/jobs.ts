import type { Event } from '../../model/event.ts'
import type { Outcome } from '../../model/job.ts'
import type { Happening, RunEnd } from '../happening.ts'
import type { Property } from './property.ts'

function jobOf(event: Event): string {
  return event.subject.slice('job/'.length)
}

function eventsOf(happening: Happening, kind: Event['kind']): readonly Event[] {
  return happening.kind === 'committed' ? happening.events.filter((event) => event.kind === kind) : []
}

/** What a client was told is accepted stays, over every crash. */
export const acceptedJobIsNeverLost: Property = {
  name: 'an accepted job is never lost',
  from: 'W-19',
  begin(about) {
    const accepted = new Set<string>()
    function lost(jobs: Iterable<string>): string | null {
      const look = about.look()
      if (look === null) return null
      for (const job of jobs)
        if (look('select id from jobs where id = ?', [job]).length === 0) return `${about.keyOf(job)} was accepted and is not there`
      return null
    }
    return (happening) => {
      if (happening.kind === 'accepted') {
        accepted.add(happening.job)
        return lost([happening.job])
      }
      return happening.kind === 'told' && happening.what === 'starts' ? lost(accepted) : null
    }
  },
}

/** Of all things that run on all machines, at most one belongs to a job. */
export const oneAttemptIsAlive: Property = {
  name: 'no two attempts of a job run at once',
  from: 'design 3, "attempts are leased"',
  begin(about) {
    const runs = new Map<string, { readonly host: string; readonly attempt: string }>()
    const jobs = new Map<string, string>()
    return (happening) => {
      if (happening.kind === 'runEnded') {
        const job = jobs.get(happening.attempt) ?? ''
        if (runs.get(job)?.attempt === happening.attempt) runs.delete(job)
      }
      if (happening.kind !== 'runStarted') return null
      const { job, host, attempt } = happening
      const other = runs.get(job)
      runs.set(job, { host, attempt })
      jobs.set(attempt, job)
      if (other === undefined || other.attempt === attempt) return null
      // A host whose agent cannot act cannot end what its lease no longer covers: the stated exception.
      const gone = about.agentGoneSince(other.host)
      const leaseEnds = about.heardAt(other.host) + about.spec.limits.attemptLease
      if (gone !== null && gone <= leaseEnds && about.now() > leaseEnds) return null
      return `${about.keyOf(job)} runs on ${host} while it still runs on ${other.host}`
    }
  },
}

export const oneOutcome: Property = {
  name: 'each job has exactly one outcome, and each attempt one end',
  from: 'design 3',
  begin(about) {
    const ended = new Set<string>()
    return (happening) => {
      for (const event of eventsOf(happening, 'job.ended')) {
        if (ended.has(event.subject)) return `${about.keyOf(jobOf(event))} ended twice`
        ended.add(event.subject)
      }
      for (const event of eventsOf(happening, 'attempt.ended')) {
        const attempt = String(event.data['attemptId'])
        if (ended.has(attempt)) return `an attempt of ${about.keyOf(jobOf(event))} ended twice`
        ended.add(attempt)
      }
      return null
    }
  },
}

/** A job's result is what its command did, and nothing that happened around it. */
export const outcomeIsTrue: Property = {
  name: 'a recorded exit code is the one that the command really gave',
  from: 'design 6',
  begin(about) {
    const ends = new Map<string, RunEnd>()
    const codes = new Map(about.scenario.jobs.map(({ key, code }) => [key, code]))

    function wrong(event: Event): string | null {
      const outcome = event.data['outcome'] as Outcome
      if (outcome.kind !== 'exited') return null
      const key = about.keyOf(jobOf(event))
      const real = ends.get(String(event.data['attemptId']))
      if (real === undefined) return `${key} is said to have exited with ${outcome.code}, and its command never ended`
      if (real.cause !== 'exited') return `${key} is said to have exited with ${outcome.code}, and its command was ${real.cause}`
      return outcome.code === codes.get(key) ? null : `${key} exited with ${codes.get(key) ?? '?'}, recorded is ${outcome.code}`
    }

    return (happening) => {
      if (happening.kind === 'runEnded') ends.set(happening.attempt, happening.how)
      for (const event of eventsOf(happening, 'attempt.ended')) {
        const problem = wrong(event)
        if (problem !== null) return problem
      }
      return null
    }
  },
}

/** A command may have done half of its work: it is never begun anew behind the back of its job. */
export const commandStartsOnce: Property = {
  name: 'the command of an attempt is started once',
  from: 'design 3, "attempts are leased"',
  begin(about) {
    const started = new Set<string>()
    return (happening) => {
      if (happening.kind !== 'runStarted') return null
      const { attempt, job, host } = happening
      if (started.has(attempt)) return `the command of ${about.keyOf(job)} was started again on ${host} by the same attempt`
      started.add(attempt)
      return null
    }
  },
}

export const triesAreLimited: Property = {
  name: 'no job is tried more often than its queue allows',
  from: 'predecessors: a job that kills its host is tried for ever',
  begin(about) {
    return (happening) => {
      for (const event of eventsOf(happening, 'job.assigned')) {
        const job = jobOf(event)
        const rows = about.look()?.('select doc from jobs where id = ?', [job]) ?? []
        const [row] = rows as readonly { readonly doc: string }[]
        if (row === undefined) continue
        const { retries } = (JSON.parse(row.doc) as { readonly resolved: { readonly retries: number } }).resolved
        const tries = Number(event.data['number'])
        if (tries > retries + 1) return `${about.keyOf(job)} is tried for the ${tries}th time, and may be tried ${retries + 1} times`
      }
      return null
    }
  },
}

export const cancelledOnlyWhenAsked: Property = {
  name: 'no job is cancelled that nobody cancelled',
  from: 'design 6',
  begin(about) {
    const asked = new Set<string>()
    return (happening) => {
      if (happening.kind !== 'committed') return null
      for (const event of happening.events) {
        if (event.kind === 'job.cancelRequested') asked.add(event.subject)
        // A drain with a deadline cancels what is left then; whose drain it is, the outcome says.
        if (event.kind === 'host.draining') asked.add(`drain of ${event.subject.slice('host/'.length)} by ${event.actor}`)
        if (event.kind !== 'job.ended') continue
        const outcome = event.data['outcome'] as Outcome
        if (outcome.kind !== 'cancelled' || asked.has(event.subject) || asked.has(outcome.by)) continue
        return `${about.keyOf(jobOf(event))} ended as cancelled by ${outcome.by}, and nobody had asked for it`
      }
      return null
    }
  },
}
