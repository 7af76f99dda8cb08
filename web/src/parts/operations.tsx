import type { OperationView } from '../../../src/model/api.ts'
import { formatDuration } from '../../../src/model/instant.ts'
import { isTerminalOperation, operationCan, type OperationState } from '../../../src/model/operation.ts'
import { call } from '../api/client.ts'
import { useNow } from '../api/clock.ts'
import { useLive } from '../api/live.ts'
import { Action } from './action.tsx'
import { Badge } from './badge.tsx'
import { ago } from './format.ts'

const shown = 10
const extraSeconds = 600

/** What was asked of a host, newest first: how long it may still take, and how to give it more time or end it. */
export function Operations({ hostId }: { readonly hostId: string }) {
  const now = useNow()
  const live = useLive<{ readonly items: readonly OperationView[] }>(`/hosts/${hostId}/operations`, {
    about: ({ kind }) => kind.startsWith('operation.'),
  })
  const operations = live.data?.items.slice(0, shown) ?? []
  return (
    <section aria-labelledby="operations" className="panel">
      <h2 id="operations">Operations</h2>
      {operations.length === 0 ? <p className="quiet">None.</p> : null}
      <ul className="plain-list">
        {operations.map((operation) => (
          <li key={operation.id}>
            <OperationBadge state={operation.state} /> <b>{operation.request.kind}</b>{' '}
            <span className="quiet">
              asked {ago(operation.requestedAt, now)} by {operation.requestedBy}
            </span>
            {operation.reason === '' ? null : <div className="note">{operation.reason}</div>}
            {isTerminalOperation(operation.state) ? null : <Running operation={operation} now={now} reload={live.reload} />}
          </li>
        ))}
      </ul>
    </section>
  )
}

function Running({ operation, now, reload }: { readonly operation: OperationView; readonly now: number; readonly reload: () => void }) {
  const act = (verb: string, body?: object) => async (): Promise<void> => {
    await call('POST', `/operations/${operation.id}/${verb}`, body === undefined ? {} : { body })
    reload()
  }
  const cannot = (action: keyof typeof operationCan): string | null =>
    (operationCan[action] as readonly OperationState[]).includes(operation.state) ? null : `it is ${operation.state}`
  return (
    <>
      <div className="quiet">{limitsText(operation, now)}</div>
      <div className="actions">
        <Action label="Extend by 10 minutes" disabledReason={cannot('extend')} run={act('extend', { seconds: extraSeconds })} />
        <Action label="Kill" disabledReason={cannot('kill') ?? (operation.killRequested ? 'it is being killed' : null)} run={act('kill')} />
      </div>
    </>
  )
}

/** `warning in 4m, ended in 14m`. */
function limitsText({ startedAt, deadline, limits }: OperationView, now: number): string {
  if (startedAt === null) return `not started; may take ${formatDuration(limits.hard)}, warned of after ${formatDuration(limits.warning)}`
  const warningIn = startedAt + limits.warning - now
  const hardIn = (deadline ?? startedAt + limits.hard) - now
  const warning = warningIn > 0 ? `warning in ${formatDuration(warningIn)}` : 'takes longer than usual'
  return `${warning}, ${hardIn > 0 ? `ended in ${formatDuration(hardIn)}` : 'at its limit'}`
}

const good = { tone: 'good', glyph: '✓' } as const
const bad = { tone: 'bad', glyph: '✕' } as const
const warn = { tone: 'warn', glyph: '!' } as const
const busy = { tone: 'busy', glyph: '◑' } as const
const idle = { tone: 'idle', glyph: '◌' } as const

const looks = {
  PENDING: idle,
  VALIDATING: idle,
  BLOCKED: idle,
  EXECUTING: busy,
  RUNNING_WARNING: warn,
  TIMEOUT_PENDING: warn,
  AWAITING_RECONNECT: busy,
  KILLING: warn,
  SUCCESS: good,
  ERROR: bad,
  TIMEOUT: bad,
  SKIPPED: idle,
  KILLED: bad,
  PARTIAL: warn,
  STALE_BINARY: warn,
  SUSPICIOUS: warn,
} as const satisfies Record<OperationState, { readonly tone: string; readonly glyph: string }>

function OperationBadge({ state }: { readonly state: OperationState }) {
  return <Badge {...looks[state]} word={state.toLowerCase().replaceAll('_', ' ')} />
}
