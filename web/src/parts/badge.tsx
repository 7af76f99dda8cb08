import type { HostView, JobView } from '../../../src/model/api.ts'
import type { JobState, Outcome } from '../../../src/model/job.ts'

export type Tone = 'good' | 'bad' | 'warn' | 'hold' | 'busy' | 'idle'

interface BadgeProps {
  readonly tone: Tone
  readonly glyph: string
  readonly word: string
}

/** State by glyph, word and colour: never by colour alone. */
export function Badge({ tone, glyph, word }: BadgeProps) {
  return (
    <span className={`badge ${tone}`}>
      <span aria-hidden="true">{glyph}</span> {word}
    </span>
  )
}

const outcomeBadge = {
  signalled: { tone: 'bad', glyph: '✕', word: 'signalled' },
  timedOut: { tone: 'bad', glyph: '✕', word: 'timed out' },
  cancelled: { tone: 'idle', glyph: '⊘', word: 'cancelled' },
  setupFailed: { tone: 'bad', glyph: '✕', word: 'set-up failed' },
  infrastructure: { tone: 'warn', glyph: '!', word: 'infrastructure failed' },
} as const satisfies Record<Exclude<Outcome['kind'], 'exited'>, BadgeProps>

const stateBadge = {
  queued: { tone: 'idle', glyph: '◌', word: 'queued' },
  assigned: { tone: 'busy', glyph: '◔', word: 'starting' },
  running: { tone: 'busy', glyph: '◑', word: 'running' },
  ended: { tone: 'idle', glyph: '●', word: 'ended' },
} as const satisfies Record<JobState, BadgeProps>

export function JobBadge({ job }: { readonly job: JobView }) {
  return <Badge {...lookOfJob(job)} />
}

function lookOfJob({ outcome, state }: JobView): BadgeProps {
  return outcome === null ? stateBadge[state] : lookOfOutcome(outcome)
}

export function lookOfOutcome(outcome: Outcome): BadgeProps {
  if (outcome.kind !== 'exited') return outcomeBadge[outcome.kind]
  return outcome.code === 0 ? { tone: 'good', glyph: '✓', word: 'passed' } : { tone: 'bad', glyph: '✕', word: `exit ${outcome.code}` }
}

const hostStateBadge = {
  lost: { tone: 'bad', glyph: '✕', word: 'lost' },
  retired: { tone: 'idle', glyph: '⊘', word: 'retired' },
  enrolled: { tone: 'idle', glyph: '…', word: 'enrolled' },
} as const satisfies Record<Exclude<HostView['state'], 'up'>, BadgeProps>

const schedulableBadge = {
  open: { tone: 'good', glyph: '✓', word: 'up' },
  cordoned: { tone: 'hold', glyph: '⊘', word: 'cordoned' },
  draining: { tone: 'hold', glyph: '↓', word: 'draining' },
  quarantined: { tone: 'bad', glyph: '!', word: 'quarantined' },
} as const satisfies Record<HostView['schedulable']['kind'], BadgeProps>

const unprovenBadge = {
  notReady: { tone: 'warn', glyph: '≠', word: 'not ready' },
  unknown: { tone: 'warn', glyph: '?', word: 'unknown' },
} as const satisfies Record<'notReady' | 'unknown', BadgeProps>

type HostLook = Pick<HostView, 'state' | 'schedulable' | 'readiness'>

export function HostBadge({ host }: { readonly host: HostLook }) {
  return <Badge {...lookOfHostPage(host)} />
}

/** A host that may take jobs and cannot is not simply up. */
function lookOfHostPage({ state, schedulable, readiness }: HostLook): BadgeProps {
  if (state !== 'up') return hostStateBadge[state]
  if (schedulable.kind !== 'open' || readiness.some((one) => one.state === 'ready')) return schedulableBadge[schedulable.kind]
  return unprovenBadge[readiness.some((one) => one.state === 'notReady') ? 'notReady' : 'unknown']
}
