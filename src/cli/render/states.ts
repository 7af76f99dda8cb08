import type { HostView, JobView, OperationView, SandboxView } from '../client/views.ts'
import type { Tone } from './style.ts'
import type { Cell } from './table.ts'

/** A state for people: glyph, word, colour; each says it alone. */
function mark(glyph: string, word: string, tone: Tone): Cell {
  return { text: `${glyph} ${word}`, tone }
}

/** How a job stands, or how it ended. */
export function jobState(job: JobView): Cell {
  if (job.state === 'queued') return job.cancelRequested ? mark('◌', 'cancelling', 'warn') : mark('○', 'queued', 'dim')
  if (job.state === 'assigned') return mark('◔', 'assigned', 'busy')
  if (job.state === 'running')
    return job.cancelRequested ? mark('◌', 'cancelling', 'warn') : mark('●', job.attempts.at(-1)?.state ?? 'running', 'busy')
  return outcomeState(job)
}

function outcomeState({ outcome }: JobView): Cell {
  switch (outcome?.kind) {
    case 'exited':
      return outcome.code === 0 ? mark('✓', 'passed', 'good') : mark('✗', `exit ${outcome.code}`, 'bad')
    case 'signalled':
      return mark('✗', `signal ${outcome.signal}`, 'bad')
    case 'timedOut':
      return mark('⧖', 'timed out', 'bad')
    case 'cancelled':
      return mark('⊘', 'cancelled', 'warn')
    case 'setupFailed':
      return mark('✗', 'set-up failed', 'bad')
    case 'infrastructure':
      return mark('!', 'cidery failed', 'bad')
    case undefined:
      return mark('?', 'ended', 'warn')
  }
}

/** How a job ended, in a sentence. */
export function outcomeText({ outcome }: Pick<JobView, 'outcome'>): string {
  switch (outcome?.kind) {
    case 'exited':
      return `exited with ${outcome.code}`
    case 'signalled':
      return `ended by signal ${outcome.signal}`
    case 'timedOut':
      return `stopped after its time limit of ${outcome.afterS} s`
    case 'cancelled':
      return `cancelled by ${outcome.by}`
    case 'setupFailed':
      return `could not be set up (${outcome.step}): ${outcome.message}`
    case 'infrastructure':
      return `failed for a fault of ${outcome.part} (${outcome.code}): ${outcome.message}`
    case undefined:
      return ''
  }
}

export function hostState(host: HostView): Cell {
  if (host.state === 'lost') return mark('!', 'lost', 'bad')
  if (host.state === 'retired') return mark('⊘', 'retired', 'dim')
  if (host.state === 'enrolled') return mark('○', 'enrolled', 'dim')
  switch (host.schedulable.kind) {
    case 'open':
      return mark('●', 'up', 'good')
    case 'cordoned':
      return mark('◌', 'cordoned', 'warn')
    case 'draining':
      return mark('◔', 'draining', 'warn')
    case 'quarantined':
      return mark('!', 'quarantined', 'bad')
  }
}

const good = new Set(['SUCCESS'])
const bad = new Set(['ERROR', 'TIMEOUT', 'SUSPICIOUS', 'STALE_BINARY'])
const warn = new Set(['KILLED', 'SKIPPED', 'PARTIAL', 'BLOCKED', 'RUNNING_WARNING', 'TIMEOUT_PENDING', 'AWAITING_RECONNECT', 'KILLING'])

export function operationState({ state }: Pick<OperationView, 'state'>): Cell {
  if (good.has(state)) return mark('✓', state, 'good')
  if (bad.has(state)) return mark('✗', state, 'bad')
  return warn.has(state) ? mark('◌', state, 'warn') : mark('●', state, 'busy')
}

export function sandboxState({ state }: Pick<SandboxView, 'state'>): Cell {
  if (state === 'running') return mark('●', state, 'good')
  if (state === 'failed') return mark('✗', state, 'bad')
  return state === 'stopped' || state === 'gone' ? mark('○', state, 'dim') : mark('◔', state, 'busy')
}
