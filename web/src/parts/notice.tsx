import type { ReactNode } from 'react'
import type { ApiError } from '../api/client.ts'
import { useNow } from '../api/clock.ts'
import type { Live } from '../api/live.ts'

const staleMs = 15_000

/** What stands where data is not there yet, could not be had, or is old. */
export function Loaded<T>({ live, children }: { readonly live: Live<T>; readonly children: (data: T) => ReactNode }) {
  const { data, error, at } = live
  if (data === null) return error === null ? <p className="quiet">Loading…</p> : <Failure error={error} />
  return (
    <>
      {error === null ? null : <Stale error={error} at={at} />}
      {children(data)}
    </>
  )
}

export function Failure({ error }: { readonly error: ApiError }) {
  return (
    <p role="alert" className="problem">
      {error.message}
      {error.hint === undefined ? null : <span className="quiet"> — {error.hint}</span>}
    </p>
  )
}

/** Says how old what is shown is, once it is too old to be trusted. */
export function Stale({ error, at }: { readonly error: ApiError; readonly at: number | null }) {
  const now = useNow()
  const age = at === null ? 0 : now - at
  if (age < staleMs) return null
  return (
    <p role="alert" className="problem">
      {error.message}; what is shown is {Math.round(age / 1000)} s old
    </p>
  )
}
