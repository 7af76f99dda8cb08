import { useEffect, useState } from 'react'
import type { FleetHost } from '../../../src/model/api.ts'
import type { ApiError } from './client.ts'
import { call } from './client.ts'
import { onHint, shownError, type Hint } from './live.ts'

export interface FleetState {
  /** In order of names. */
  readonly hosts: readonly FleetHost[]
  /** All pages have come. */
  readonly complete: boolean
  readonly error: ApiError | null
  readonly at: number | null
}

interface FleetPage {
  readonly items: readonly FleetHost[]
  readonly nextCursor: string | null
}

const gatherMs = 100
/** More changed hosts than this are cheaper to read with all others. */
const namesAtOnce = 100
/** What is seen first has to come fast. */
const firstPage = 500
const pollMs = { few: 15_000, many: 60_000, failed: 2000 } as const
const many = 2000

let last: FleetState = { hosts: [], complete: false, error: null, at: null }

/** The fleet as it was last seen by any page; for suggestions that may be a little old. */
export function knownHosts(): readonly FleetHost[] {
  return last.hosts
}

/**
 * The whole fleet in few words, page by page at first; then only hosts that events name are read again, gathered into one request, and all of them once in
 * a while, since an event may be lost.
 */
export function useFleet(): FleetState {
  const [state, setState] = useState(last)
  useEffect(() => follow((next) => setState((last = next))), [])
  return state
}

function follow(publish: (state: FleetState) => void): () => void {
  const abort = new AbortController()
  let hosts = new Map<string, FleetHost>(last.hosts.map((host) => [host.name, host]))
  let dirty = new Set<string>()
  let gather: ReturnType<typeof setTimeout> | undefined
  let poll: ReturnType<typeof setTimeout> | undefined
  let busy = false
  /** Everything is to be read. */
  let due = true

  const show = (complete: boolean): void => publish({ hosts: [...hosts.values()], complete, error: null, at: Date.now() })

  async function readAll(): Promise<void> {
    const fresh = new Map<string, FleetHost>()
    const first = hosts.size === 0
    let query = first ? `?limit=${firstPage}` : ''
    for (;;) {
      const { items, nextCursor }: FleetPage = await call('GET', `/fleet${query}`, { signal: abort.signal })
      for (const host of items) fresh.set(host.name, host)
      if (nextCursor === null) break
      // The beginning is shown at once; drawing each further page would hold up the next.
      if (first && query.startsWith('?limit')) publish({ hosts: [...fresh.values()], complete: false, error: null, at: Date.now() })
      query = `?cursor=${nextCursor}`
    }
    hosts = fresh
    show(true)
  }

  async function readSome(names: readonly string[]): Promise<void> {
    const query = encodeURIComponent(names.join(','))
    const { items } = await call<FleetPage>('GET', `/fleet?names=${query}`, { signal: abort.signal })
    const asked = new Set(names)
    const known = new Set(hosts.keys())
    for (const host of items) hosts.set(host.name, host)
    for (const name of asked) if (known.has(name) && !items.some((host) => host.name === name)) hosts.delete(name)
    if (items.some(({ name }) => !known.has(name))) hosts = new Map([...hosts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    show(true)
  }

  async function look(): Promise<void> {
    if (busy || (!due && dirty.size === 0)) return
    busy = true
    const whole = due || dirty.size > namesAtOnce
    const names = [...dirty]
    due = false
    dirty = new Set()
    let failed = false
    try {
      await (whole ? readAll() : readSome(names))
    } catch (error) {
      if (abort.signal.aborted) return
      failed = true
      publish({ hosts: [...hosts.values()], complete: hosts.size > 0, error: shownError(error), at: last.at })
    } finally {
      busy = false
      if (!abort.signal.aborted) lookAgain({ whole, failed })
    }
  }

  /** Events do not put off the look at everything: it is there for those that were lost. */
  function lookAgain({ whole, failed }: { readonly whole: boolean; readonly failed: boolean }): void {
    if (dirty.size > 0 || due) soon()
    if (!whole && !failed) return
    clearTimeout(poll)
    poll = setTimeout(
      () => {
        due = true
        void look()
      },
      failed ? pollMs.failed : hosts.size > many ? pollMs.many : pollMs.few,
    )
  }

  function soon(): void {
    gather ??= setTimeout(() => {
      gather = undefined
      void look()
    }, gatherMs)
  }

  const stop = onHint((hint) => {
    const name = hostOf(hint)
    if (name === null) return
    dirty.add(name)
    soon()
  })
  void look()
  return () => {
    abort.abort()
    stop()
    clearTimeout(gather)
    clearTimeout(poll)
  }
}

/** Name or id of the host that an event is about, if it says. */
export function hostOf({ subject, data }: Hint): string | null {
  if (subject.startsWith('host/')) return subject.slice('host/'.length)
  const { host, hostId } = data
  if (typeof host === 'string') return host
  return typeof hostId === 'string' ? hostId : null
}
