import type { ReactNode } from 'react'
import type { Live } from '../api/live.ts'

/** What stands where data is not there yet, could not be had, or is old. */
export function Loaded<T>({
  live,
  now,
  children,
}: {
  readonly live: Live<T>
  readonly now: number
  readonly children: (data: T) => ReactNode
}) {
  const { data, error, at } = live
  if (data === null)
    return error === null ? (
      <p className="quiet">Loading…</p>
    ) : (
      <p role="alert" className="problem">
        {error.message}
      </p>
    )
  const staleFor = at === null ? 0 : now - at
  return (
    <>
      {error === null || staleFor < 15_000 ? null : (
        <p role="alert" className="problem">
          {error.message}; what is shown is {Math.round(staleFor / 1000)} s old
        </p>
      )}
      {children(data)}
    </>
  )
}
