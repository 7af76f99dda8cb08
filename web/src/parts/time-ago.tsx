import { formatDuration } from '../../../src/model/instant.ts'
import { useNow } from '../api/clock.ts'
import { ago } from './format.ts'

/** An age that grows, with the moment itself for those who ask. */
export function TimeAgo({ at }: { readonly at: number | null }) {
  const now = useNow()
  if (at === null) return <>never</>
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString()}>
      {ago(at, now)}
    </time>
  )
}

/** How long something has lasted: `for 3m12s`. */
export function TimeSince({ at }: { readonly at: number }) {
  const now = useNow()
  return (
    <time dateTime={new Date(at).toISOString()} title={new Date(at).toLocaleString()}>
      for {formatDuration(Math.max(0, now - at))}
    </time>
  )
}
