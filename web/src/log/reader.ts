import { ApiError, refusal } from '../api/client.ts'
import { append, cut, emptyWindow, endOf, prepend, type LogWindow, type WindowLimits } from './window.ts'

/**
 * `live`: new bytes are shown as they come. `held`: the end of the window is not the end of the log, or people look at an older part. `complete`: the log has
 * ended and the window is at its end. `lost`: the connection broke and is tried again. `refused`: the server says no, and will again.
 */
export type LogState = 'connecting' | 'live' | 'held' | 'complete' | 'lost' | 'refused'

export interface LogView {
  readonly window: LogWindow
  /** Goes up when the window begins somewhere else, so that its rows have nothing to do with those before. */
  readonly opening: number
  readonly state: LogState
  /** Why it is `refused`; null otherwise. */
  readonly problem: ApiError | null
  /** Bytes that the log is known to have. */
  readonly length: number
}

export interface LogReader {
  readonly view: () => LogView
  subscribe(listener: () => void): () => void
  /** Shows the beginning; new bytes are no longer taken. */
  toStart(): void
  /** Shows the end and takes new bytes as they come. */
  toEnd(): void
  /** People look at an older part: what they look at must not be cut away under them. */
  hold(): void
  earlier(): void
  later(): void
  close(): void
}

/** A log of any length costs a browser so much: about 2 MiB of text in at most 60,000 rows. */
const limits: WindowLimits = { bytes: 2 * 1024 * 1024, rows: 60_000 }
const stepBytes = 256 * 1024
/** A shorter log is read from its start, and its lines have numbers. */
const shortBytes = 1024 * 1024
const gatherMs = 60
const retryMs = 1000

/** What is done, and what follows it: a broken connection is taken up where it broke. */
type Work = (signal: AbortSignal) => Promise<Work | null>

/** Reads a log in windows by offset, and follows its end. */
export function createLogReader(path: string): LogReader {
  const listeners = new Set<() => void>()
  let view: LogView = { window: emptyWindow(0), opening: 0, state: 'connecting', problem: null, length: 0 }
  let task = new AbortController()
  let doing: Work | null = null
  /** What was asked for meanwhile; only the last of it matters. */
  let waiting: Work | null = null
  /** Every byte of the log is there and known to be the last. */
  let over = false

  function show(change: Partial<LogView>): void {
    const next = { ...view, problem: null, ...change }
    view = { ...next, length: Math.max(next.length, endOf(next.window)) }
    for (const listener of listeners) listener()
  }

  /** Ends what is being read and begins something else. */
  function begin(work: Work): void {
    task.abort()
    task = new AbortController()
    waiting = null
    void carryOut(work, task.signal)
  }

  async function carryOut(work: Work, signal: AbortSignal): Promise<void> {
    let next: Work | null = work
    while (next !== null && !signal.aborted) {
      doing = next
      try {
        next = await next(signal)
      } catch (error) {
        if (signal.aborted) return
        if (isFinal(error)) {
          show({ state: 'refused', problem: error })
          break
        }
        // Whatever broke, the bytes that came are kept, and the rest is asked for again.
        show({ state: 'lost' })
        await new Promise((resolve) => setTimeout(resolve, retryMs))
      }
    }
    if (signal.aborted) return
    doing = null
    if (waiting !== null) begin(waiting)
  }

  /** Begins when the part that is being read is there; following the end is not put off. */
  function beginAfter(work: Work): void {
    if (doing === null) begin(work)
    else if (doing !== work && (doing === readEarlier || doing === readLater || doing === openStart)) waiting = work
  }

  async function fetchPart(
    offset: number,
    bytes: number,
    signal: AbortSignal,
  ): Promise<{ readonly part: Uint8Array; readonly length: number }> {
    const response = await fetch(`${path}&offset=${offset}&bytes=${bytes}`, { signal, credentials: 'same-origin' })
    if (!response.ok) throw await refusal(response)
    const part = new Uint8Array(await response.arrayBuffer())
    return { part, length: Number(response.headers.get('x-cidery-log-length') ?? offset + part.length) }
  }

  async function openEnd(signal: AbortSignal): Promise<Work> {
    const { length } = await fetchPart(0, 1, signal)
    const opening = view.opening + 1
    if (length <= shortBytes) {
      show({ window: emptyWindow(0), opening, length })
      return follow
    }
    const { part } = await fetchPart(length - stepBytes, stepBytes, signal)
    const start = lineStart(part)
    show({ window: append(emptyWindow(length - stepBytes + start), part.subarray(start)), opening, length })
    return follow
  }

  async function follow(signal: AbortSignal): Promise<null> {
    const response = await fetch(`${path}&follow=true&offset=${endOf(view.window)}`, { signal, credentials: 'same-origin' })
    if (!response.ok || response.body === null) throw await refusal(response)
    show({ state: 'live' })
    const gathered = gather((bytes) => show({ window: cut(append(view.window, bytes), 'start', limits) }), signal)
    const reader = response.body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (signal.aborted) return null
      if (done) break
      await gathered.add(value)
    }
    gathered.flush()
    over = true
    show({ state: 'complete' })
    return null
  }

  async function readLater(signal: AbortSignal): Promise<null> {
    const { part, length } = await fetchPart(endOf(view.window), stepBytes, signal)
    const window = cut(append(view.window, part), 'start', limits)
    show({ window, length, state: 'held' })
    return null
  }

  async function readEarlier(signal: AbortSignal): Promise<null> {
    const { start } = view.window
    const from = Math.max(0, start - stepBytes)
    const { part } = await fetchPart(from, start - from, signal)
    const window = prepend(view.window, from === 0 ? part : part.subarray(lineStart(part)))
    show({ window: cut(window, 'end', limits), state: 'held' })
    return null
  }

  async function openStart(signal: AbortSignal): Promise<null> {
    const { part, length } = await fetchPart(0, stepBytes, signal)
    show({ window: append(emptyWindow(0), part), opening: view.opening + 1, length, state: 'held' })
    return null
  }

  async function showComplete(): Promise<null> {
    show({ state: 'complete' })
    return null
  }

  begin(openEnd)
  return {
    view: () => view,
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    toStart: () => begin(openStart),
    toEnd: () => {
      if (endOf(view.window) < view.length) begin(openEnd)
      else if (view.state === 'held' || view.state === 'refused') begin(over ? showComplete : follow)
    },
    hold() {
      if (view.state !== 'live') return
      task.abort()
      doing = null
      waiting = null
      show({ state: 'held' })
    },
    earlier() {
      if (view.window.start > 0) beginAfter(readEarlier)
    },
    later() {
      if (endOf(view.window) < view.length) beginAfter(readLater)
    },
    close: () => task.abort(),
  }
}

/** Whether the same question would get the same answer. */
function isFinal(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429
}

/** Where the first whole line begins; 0 when there is none. */
function lineStart(bytes: Uint8Array): number {
  const feed = bytes.indexOf(10)
  return feed === -1 || feed === bytes.length - 1 ? 0 : feed + 1
}

interface Gathered {
  /** Resolves when there is room for more: what comes faster than it can be shown waits in the network. */
  add(bytes: Uint8Array): Promise<void>
  flush(): void
}

/** Puts small pieces together, so that a busy log is drawn a few times a second. */
function gather(take: (bytes: Uint8Array) => void, signal: AbortSignal): Gathered {
  let parts: Uint8Array[] = []
  let size = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (size === 0 || signal.aborted) return
    const all = new Uint8Array(size)
    let at = 0
    for (const part of parts) {
      all.set(part, at)
      at += part.length
    }
    parts = []
    size = 0
    take(all)
  }

  return {
    async add(bytes) {
      parts.push(bytes)
      size += bytes.length
      timer ??= setTimeout(flush, gatherMs)
      if (size < stepBytes) return
      flush()
      // The page is drawn and keys are heard between two full pieces.
      await new Promise((resolve) => setTimeout(resolve, 0))
    },
    flush,
  }
}
