import type { Event, EventKind } from '../model/event.ts'
import { formatDuration } from '../model/instant.ts'
import type { Outcome } from '../model/job.ts'
import type { RunEnd } from './happening.ts'

/** Who did it, and what, as a line of a journal for people has them. */
export type Words = readonly [who: string, what: string]

/** What the words of an event need besides the event itself. */
export interface Naming {
  /** The controller that leads now. */
  readonly leader: string
  /** An id's name in this journal. */
  nameOf(id: string): string
}

type Sentence = (event: Event, naming: Naming) => string

/** An event of the record in a plain sentence. `system` is the controller that leads; all others are who they say they are. */
export function eventWords(event: Event, naming: Naming): Words {
  const sentence = sentences[event.kind] ?? otherwise
  const what = sentence(event, naming)
  return [actorOf(event, naming), event.result === 'failed' ? `${what} (failed)` : what]
}

function actorOf({ actor }: Event, { leader }: Naming): string {
  if (actor === 'system') return leader
  return personOf(actor.replace(/^host:/, ''))
}

/** People of the simulation have a number for each thing they do, so that the audit of each can be looked for. */
function personOf(actor: string): string {
  return actor.replaceAll(/\buser:([a-z]+)(?:-\d+)?/g, '$1')
}

function text(event: Event, name: string): string {
  const value = event.data[name]
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}

function ms(event: Event, name: string): string {
  return formatDuration(Number(event.data[name]))
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** `host/mini-1` is mini-1, `job/job_…` is the job's own name. */
function subjectOf(event: Event, { nameOf }: Naming): string {
  return nameOf(event.subject.slice(event.subject.indexOf('/') + 1))
}

function attemptOf(event: Event, { nameOf }: Naming): string {
  return nameOf(text(event, 'attemptId'))
}

function outcomeOf(event: Event): string {
  return outcomeWords(event.data['outcome'] as Outcome)
}

/** How an attempt or a job ended. */
export function outcomeWords(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'exited':
      return `exit code ${outcome.code}`
    case 'signalled':
      return `signal ${outcome.signal}`
    case 'timedOut':
      return `stopped at its time limit of ${formatDuration(outcome.afterS * 1000)}`
    case 'cancelled':
      return `cancelled by ${personOf(outcome.by)}`
    case 'setupFailed':
      return `its own set-up cannot work (${outcome.step}): ${outcome.message}`
    case 'infrastructure':
      return `a fault of ours (${outcome.part}): ${outcome.message}`
  }
}

/** How a command really ended. */
export function endWords({ cause, code, signal }: RunEnd): string {
  const how = code === null ? (signal === null ? '' : `signal ${signal}`) : `exit code ${code}`
  switch (cause) {
    case 'exited':
      return how
    case 'lost':
      return 'cut off with its sandbox or supervisor'
    default:
      return `${cause === 'timedOut' ? 'stopped at its time limit' : 'stopped by its agent'}, ${how}`
  }
}

const sentences: Partial<Readonly<Record<EventKind, Sentence>>> = {
  'controller.led': (event) => `leads from now on (epoch ${text(event, 'epoch')})`,
  'spec.applied': (event) => `applies another spec (generation ${text(event, 'generation')})`,

  'job.submitted': (event, naming) => `submits ${subjectOf(event, naming)} to the queue ${text(event, 'queue')}`,
  'job.assigned'(event, naming) {
    const attempt = Number(event.data['number'])
    const again = attempt > 1 ? `, as its attempt ${attempt}` : ''
    return `gives ${subjectOf(event, naming)} to ${text(event, 'host')}${again} (${text(event, 'why')})`
  },
  'job.running': (event, naming) => `reports that ${subjectOf(event, naming)} runs, ${ms(event, 'waitedMs')} after it was submitted`,
  'attempt.ended'(event, naming) {
    const verb = event.actor === 'system' ? 'takes' : 'reports'
    const what = event.actor === 'system' ? `${attemptOf(event, naming)} for over` : `the end of ${attemptOf(event, naming)}`
    return `${verb} ${what}: ${outcomeOf(event)}`
  },
  'job.retried'(event, naming) {
    const failures = counted(Number(event.data['failures']), 'fault')
    const wait = formatDuration(Number(event.data['notBefore']) - event.at)
    return `with that, ${subjectOf(event, naming)} waits for another attempt, in ${wait} at the earliest (${failures} of ours so far)`
  },
  'job.cancelRequested': (event, naming) => `asks to cancel ${subjectOf(event, naming)}`,
  'job.ended'(event, naming) {
    const attempts = counted(Number(event.data['attempts']), 'attempt')
    return `with that, ${subjectOf(event, naming)} is over: ${outcomeOf(event)}; ${attempts}, ${ms(event, 'durationMs')} in all`
  },
  'attempt.refused'(event, naming) {
    const { outcome, recorded } = event.data as { readonly outcome: Outcome | null; readonly recorded: Outcome | null }
    const says = outcome === null ? 'no outcome' : outcomeWords(outcome)
    const stands = recorded === null ? `the job has another attempt` : `what stands is ${outcomeWords(recorded)}`
    return `says of ${attemptOf(event, naming)}: ${says}. Too late: ${stands}`
  },

  'host.up': (event) => (event.data['was'] === 'enrolled' ? 'reports for the first time' : 'reports again'),
  'host.lost': (event, naming) => `takes ${subjectOf(event, naming)} for lost: not heard of for ${ms(event, 'silentMs')}`,
  'host.cordoned': (event, naming) => `cordons ${subjectOf(event, naming)}`,
  'host.uncordoned': (event, naming) => `opens ${subjectOf(event, naming)} again (it was ${text(event, 'was')})`,
  'host.draining'(event, naming) {
    const deadline = event.data['deadline']
    const until =
      deadline === null ? 'running jobs may end' : `running jobs are cancelled in ${formatDuration(Number(deadline) - event.at)}`
    return `drains ${subjectOf(event, naming)} (${until})`
  },
  'host.quarantined'(event, naming) {
    const cure = Array.isArray(event.data['repair']) ? 'cidery restarts it' : text(event, 'cure')
    return `quarantines ${subjectOf(event, naming)}: ${text(event, 'reason')}. Cure: ${cure}`
  },
  'host.repairing': (event, naming) =>
    `wants ${subjectOf(event, naming)} restarted (try ${text(event, 'tries')}): ${text(event, 'reason')}`,
  'host.returned': (event, naming) => `gives ${subjectOf(event, naming)} jobs again: ${text(event, 'why')}`,
  'host.rebooted': (event) => `reports from another boot (${text(event, 'to')} after ${text(event, 'from')})`,
  'host.retired': (event, naming) => `retires ${subjectOf(event, naming)}`,
  'host.keyAsked': (event, naming) => `asks ${subjectOf(event, naming)} for another key`,

  'operation.requested': (event, naming) => `asks for ${subjectOf(event, naming)}`,
  'operation.changed': (event, naming) => `${subjectOf(event, naming)} is ${changeOf(event)}`,
  'operation.ended': (event, naming) => `${subjectOf(event, naming)} ended, ${changeOf(event)}`,
}

function changeOf(event: Event): string {
  if (event.data['killRequested'] === true) return 'to be killed'
  if (event.data['extendedS'] !== undefined) return `given ${formatDuration(Number(event.data['extendedS']) * 1000)} more`
  const reason = text(event, 'reason')
  return `${text(event, 'state')}${reason === '' ? '' : `: ${reason}`}`
}

/** What has no sentence of its own is told as it is: nothing may be hidden. */
function otherwise(event: Event, naming: Naming): string {
  const facts = [event.result, ...Object.keys(event.data).map((name) => `${name} ${text(event, name)}`)]
  return `${event.kind} ${subjectOf(event, naming)} (${facts.join(', ')})`
}
