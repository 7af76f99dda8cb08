import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react'
import type { SealedEvent } from '../../../src/model/api.ts'
import { ApiError, call } from './client.ts'

/** What an event tells the page: what to look at again. */
export type Hint = Pick<SealedEvent, 'kind' | 'subject' | 'data'>
export type StreamState = 'connecting' | 'live' | 'cut'

const listeners = new Set<(hint: Hint) => void>()
const watchers = new Set<() => void>()
let source: EventSource | null = null
let opening: ReturnType<typeof setTimeout> | undefined
let streamState: StreamState = 'connecting'

/**
 * Calls back for each event of the fleet, over the one stream of the page. An event only says "look now": what is shown always comes from a fresh GET,
 * so a lost event costs at most one polling interval. Returns how to stop.
 */
export function onHint(listener: (hint: Hint) => void): () => void {
  listeners.add(listener)
  openStream()
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearTimeout(opening)
    opening = undefined
    source?.close()
    source = null
    enter('connecting')
  }
}

const reopenMs = 5000

function openStream(): void {
  if (source !== null || opening !== undefined) return
  const stream = new EventSource('/api/v1/events')
  source = stream
  stream.addEventListener('open', () => enter('live'))
  stream.addEventListener('error', () => {
    enter('cut')
    // A browser takes up a broken connection by itself, but never a stream that was refused.
    if (stream.readyState === EventSource.CLOSED) openLater()
  })
  stream.addEventListener('message', (message: MessageEvent<string>) => {
    const hint = JSON.parse(message.data) as Hint
    for (const listener of listeners) listener(hint)
  })
}

function openLater(): void {
  source = null
  opening = setTimeout(() => {
    opening = undefined
    openStream()
  }, reopenMs)
}

function enter(state: StreamState): void {
  streamState = state
  for (const watcher of watchers) watcher()
}

/** Whether the stream of events is up. */
export function useStreamState(): StreamState {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => streamState,
  )
}

export interface Live<T> {
  readonly data: T | null
  readonly error: ApiError | null
  /** When `data` was fetched; null before. */
  readonly at: number | null
  readonly reload: () => void
}

export interface LiveOptions {
  /** Events that are worth a look; default: all. */
  readonly about?: (hint: Hint) => boolean
  /** Milliseconds in which events are gathered before one look. */
  readonly gatherMs?: number
}

const pollMs = 10_000

/** Fetches a path now, after each event that it is about (gathered), and every ten seconds; keeps the last good answer while a fetch fails. */
export function useLive<T>(path: string | null, { about, gatherMs = 150 }: LiveOptions = {}): Live<T> {
  const [state, setState] = useState<{ path: string | null; data: T | null; error: ApiError | null; at: number | null }>({
    path,
    data: null,
    error: null,
    at: null,
  })
  const wake = useRef<() => void>(() => {})
  const isAbout = useRef(about)
  useEffect(() => {
    isAbout.current = about
  })
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
        const shown = shownError(error)
        setState((before) => (before.path === path ? { ...before, error: shown } : { path, data: null, error: shown, at: null }))
      } finally {
        busy = false
      }
      if (again && !abort.signal.aborted) {
        again = false
        soon()
      }
    }
    const soon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined
        void look()
      }, gatherMs)
    }
    wake.current = soon
    const stop = onHint((hint) => {
      if (isAbout.current?.(hint) !== false) soon()
    })
    void look()
    const poll = setInterval(soon, pollMs)
    return () => {
      abort.abort()
      stop()
      clearInterval(poll)
      clearTimeout(timer)
    }
  }, [path, gatherMs])
  const reload = useCallback(() => wake.current(), [])
  const current = state.path === path
  return { data: current ? state.data : null, error: current ? state.error : null, at: current ? state.at : null, reload }
}

/** Any failure of a call as an error that can be shown. */
export function shownError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, { detail: 'the controller does not answer' })
}
