import type { HostView, JobView } from '../../../src/model/api.ts'
import type { JobState, Outcome } from '../../../src/model/job.ts'

type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'idle'

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
  timedOut: { tone: 'bad', glyph: '⧖', word: 'timed out' },
  cancelled: { tone: 'idle', glyph: '⊘', word: 'cancelled' },
  setupFailed: { tone: 'bad', glyph: '✕', word: 'set-up failed' },
  infrastructure: { tone: 'warn', glyph: '⚠', word: 'infrastructure failed' },
} as const satisfies Record<Exclude<Outcome['kind'], 'exited'>, BadgeProps>

const stateBadge = {
  queued: { tone: 'idle', glyph: '◌', word: 'queued' },
  assigned: { tone: 'busy', glyph: '◔', word: 'starting' },
  running: { tone: 'busy', glyph: '◑', word: 'running' },
  ended: { tone: 'idle', glyph: '●', word: 'ended' },
} as const satisfies Record<JobState, BadgeProps>

export function JobBadge({ job }: { readonly job: JobView }) {
  if (job.outcome === null) return <Badge {...stateBadge[job.state]} />
  if (job.outcome.kind !== 'exited') return <Badge {...outcomeBadge[job.outcome.kind]} />
  return job.outcome.code === 0 ? (
    <Badge tone="good" glyph="✓" word="passed" />
  ) : (
    <Badge tone="bad" glyph="✕" word={`exit ${job.outcome.code}`} />
  )
}

export function HostBadge({ host }: { readonly host: HostView }) {
  if (host.state === 'lost') return <Badge tone="bad" glyph="✕" word="lost" />
  if (host.state === 'retired') return <Badge tone="idle" glyph="⊘" word="retired" />
  if (host.state === 'enrolled') return <Badge tone="idle" glyph="◌" word="enrolled" />
  switch (host.schedulable.kind) {
    case 'open':
      return <Badge tone="good" glyph="✓" word="up" />
    case 'cordoned':
      return <Badge tone="warn" glyph="⊘" word="cordoned" />
    case 'draining':
      return <Badge tone="warn" glyph="⧖" word="draining" />
    case 'quarantined':
      return <Badge tone="bad" glyph="⚠" word="quarantined" />
  }
}
