import { useCallback, useEffect, useRef, useState } from 'react'
import { ApiError, call } from './client.ts'

/** Subscribers that want to look again when something happened in the fleet. */
const listeners = new Set<() => void>()
let source: EventSource | null = null

function tell(): void {
  for (const listener of listeners) listener()
}

/**
 * Opens the one event stream of the page. An event only says "look now": what is shown always comes from a fresh GET, so a lost
 * event costs at most one polling interval.
 */
function openStream(): void {
  if (source !== null) return
  source = new EventSource('/api/v1/events')
  source.addEventListener('message', tell)
  source.addEventListener('event', tell)
}

function closeStream(): void {
  source?.close()
  source = null
}

export interface Live<T> {
  readonly data: T | null
  readonly error: ApiError | null
  /** When `data` was fetched; null before. */
  readonly at: number | null
  readonly reload: () => void
}

const pollMs = 10_000
const coalesceMs = 150

/** Fetches a path now, after each event (coalesced), and every ten seconds; keeps the last good answer while a fetch fails. */
export function useLive<T>(path: string | null): Live<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: ApiError | null; at: number | null }>({
    path,
    data: null,
    error: null,
    at: null,
  })
  const wake = useRef<() => void>(() => {})
  useEffect(() => {
    if (path === null) return
    const abort = new AbortController()
    let busy = false
    let again = false
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async (): Promise<void> => {
      if (busy) {
        again = true
        return
      }
      busy = true
      try {
        const data = await call<T>('GET', path, { signal: abort.signal })
        setState({ path, data, error: null, at: Date.now() })
      } catch (error) {
        if (abort.signal.aborted) return
        const shown = error instanceof ApiError ? error : new ApiError(0, { detail: 'the controller does not answer' })
        setState((before) => (before.path === path ? { ...before, error: shown } : { path, data: null, error: shown, at: null }))
      } finally {
        busy = false
      }
      if (again && !abort.signal.aborted) {
        again = false
        void look()
      }
    }
    const soon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined
        void look()
      }, coalesceMs)
    }
    wake.current = soon
    listeners.add(soon)
    openStream()
    void look()
    const poll = setInterval(soon, pollMs)
    return () => {
      abort.abort()
      listeners.delete(soon)
      if (listeners.size === 0) closeStream()
      clearInterval(poll)
      clearTimeout(timer)
    }
  }, [path])
  const reload = useCallback(() => wake.current(), [])
  const current = state.path === path
  return { data: current ? state.data : null, error: current ? state.error : null, at: current ? state.at : null, reload }
}

/** The time, ticking: for ages that are shown. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}
