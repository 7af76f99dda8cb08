import type { WaitingView } from '../../../src/model/api.ts'
import { ago } from './format.ts'

/** Why things wait, each with its cure: the controller's own words, not a second opinion. */
export function WaitingList({ waiting, now }: { readonly waiting: readonly WaitingView[]; readonly now: number }) {
  if (waiting.length === 0) return null
  return (
    <ul className="waiting">
      {waiting.map((reason) => (
        <li key={`${reason.subject} ${reason.code}`}>
          <strong>{reason.message}</strong>
          {reason.jobCount > 1 ? <> · {reason.jobCount} jobs</> : null} <span className="quiet">since {ago(reason.since, now)}</span>
          <br />
          <span className="quiet">Cure:</span> {reason.cure}
        </li>
      ))}
    </ul>
  )
}
