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
