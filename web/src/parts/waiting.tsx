import type { WaitingView } from '../../../src/model/api.ts'
import { TimeSince } from './time-ago.tsx'

/** Why things wait, each with its cure: the controller's own words, not a second opinion. */
export function WaitingList({ waiting }: { readonly waiting: readonly WaitingView[] }) {
  if (waiting.length === 0) return null
  return (
    <ul className="waiting">
      {waiting.map((reason) => (
        <li key={`${reason.subject} ${reason.code}`}>
          <strong>{reason.message}</strong>
          <span className="quiet">
            {reason.jobCount > 1 ? ` · ${reason.jobCount} jobs` : ''} · <TimeSince at={reason.since} />
          </span>
          <div>
            <span className="quiet">Cure:</span> {reason.cure}
          </div>
        </li>
      ))}
    </ul>
  )
}
