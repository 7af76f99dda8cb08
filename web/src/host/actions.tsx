import { useId } from 'react'
import type { HostView } from '../../../src/model/api.ts'
import { minute } from '../../../src/model/instant.ts'
import { call } from '../api/client.ts'
import { Action, type Confirm } from '../parts/action.tsx'
import { useSession } from '../parts/session.tsx'
import { hostActions, reasonNotTo, type HostAction } from './reasons.ts'

const labels = {
  cordon: 'Cordon',
  drain: 'Drain',
  uncordon: 'Uncordon',
  probe: 'Probe',
  clean: 'Clean',
  restartAgent: 'Restart agent',
  reboot: 'Reboot',
  rotateKey: 'Rotate key',
  retire: 'Retire',
} as const satisfies Record<HostAction, string>

const deadlines = [
  ['', 'never'],
  [String(10 * minute), 'after 10 minutes'],
  [String(60 * minute), 'after 1 hour'],
] as const

/** What can be done with a host; each button says why it cannot be pressed, and the dangerous ones ask for the host's name. */
export function HostActions({ host, reload }: { readonly host: HostView; readonly reload: () => void }) {
  const { scopes } = useSession()
  const reasonId = useId()
  const reasons = hostActions.map((action) => reasonNotTo(action, host, scopes))
  const [first] = reasons
  const shared = reasons.every((reason) => reason === first) ? (first ?? null) : null
  return (
    <section className="actions" aria-label="Actions">
      {hostActions.map((action, index) => {
        const confirm = confirmOf(action, host)
        return (
          <Action
            key={action}
            label={labels[action]}
            disabledReason={reasons[index] ?? null}
            sharedReasonId={shared === null ? undefined : reasonId}
            isDangerous={confirm?.name !== undefined}
            run={async (form) => {
              await perform(action, host, form)
              reload()
            }}
            {...(confirm === undefined ? {} : { confirm })}
          />
        )
      })}
      {shared === null ? null : (
        <small className="quiet" id={reasonId}>
          {shared}
        </small>
      )}
    </section>
  )
}

function confirmOf(action: HostAction, { name, runningJobs }: HostView): Confirm | undefined {
  const jobs = runningJobs.length
  const running = jobs === 0 ? 'It runs no job.' : `It runs ${jobs} ${jobs === 1 ? 'job' : 'jobs'}.`
  switch (action) {
    case 'drain':
      return {
        text: `${name} takes no new jobs until it is uncordoned. ${running}`,
        fields: (
          <label>
            Cancel running jobs{' '}
            <select name="deadline">
              {deadlines.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </label>
        ),
      }
    case 'reboot':
      return { text: `Everything on ${name} ends. ${running}`, name }
    case 'retire':
      return { text: `${name} leaves the fleet and its key is revoked. ${running}`, name }
    default:
      return undefined
  }
}

async function perform(action: HostAction, host: HostView, form: FormData): Promise<void> {
  const { generation, id } = host
  const reason = 'from the dashboard'
  switch (action) {
    case 'cordon':
      return call('POST', `/hosts/${id}/cordon`, { body: { reason }, generation })
    case 'drain': {
      const deadline = form.get('deadline')
      return call('POST', `/hosts/${id}/drain`, {
        body: { reason, deadlineMs: typeof deadline === 'string' && deadline !== '' ? Number(deadline) : null },
        generation,
      })
    }
    case 'uncordon':
    case 'retire':
      return call('POST', `/hosts/${id}/${action}`, { body: {}, generation })
    case 'rotateKey':
      return call('POST', `/hosts/${id}/rotate-key`, { body: {}, generation })
    case 'restartAgent':
      return call('POST', `/hosts/${id}/operations`, { body: { request: { kind: action, drain: false } } })
    default:
      return call('POST', `/hosts/${id}/operations`, { body: { request: { kind: action } } })
  }
}
