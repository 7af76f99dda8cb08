import { useEffect, useState } from 'react'
import { plainText } from '../parts/plain-text.ts'

/** How much of a log the page keeps: enough to read, bounded for a 100 MB log. The whole is a download away. */
const keepChars = 400_000
const retryMs = 1000

export interface LiveLog {
  readonly text: string
  /** Characters dropped at the start of `text`. */
  readonly cut: boolean
  readonly state: 'connecting' | 'live' | 'complete' | 'lost'
}

/** Follows a job's log from its start, resuming by offset after each cut of the connection. */
export function useJobLog(jobId: string, attempt: number, ended: boolean): LiveLog {
  const [log, setLog] = useState<LiveLog>({ text: '', cut: false, state: 'connecting' })
  useEffect(() => {
    const abort = new AbortController()
    setLog({ text: '', cut: false, state: 'connecting' })
    void follow({ jobId, attempt, signal: abort.signal, update: setLog })
    return () => abort.abort()
    // A new attempt is a new log; `ended` only changes what the end of the stream means, so a change starts no second reading.
  }, [jobId, attempt])
  return ended && log.state === 'lost' ? { ...log, state: 'complete' } : log
}

interface Follow {
  readonly jobId: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly update: (change: (before: LiveLog) => LiveLog) => void
}

async function follow({ jobId, attempt, signal, update }: Follow): Promise<void> {
  let offset = 0
  while (!signal.aborted) {
    try {
      const response = await fetch(`/api/v1/jobs/${jobId}/log?follow=true&attempt=${attempt}&offset=${offset}`, {
        signal,
        credentials: 'same-origin',
      })
      if (!response.ok || response.body === null) throw new Error(`the log answered ${response.status}`)
      update((before) => ({ ...before, state: 'live' }))
      const decoder = new TextDecoder()
      for await (const bytes of chunks(response.body)) {
        offset += bytes.byteLength
        const fresh = plainText(decoder.decode(bytes, { stream: true }))
        update((before) => append(before, fresh))
      }
      update((before) => ({ ...before, state: 'complete' }))
      return
    } catch {
      if (signal.aborted) return
      update((before) => ({ ...before, state: 'lost' }))
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
  }
}

async function* chunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    yield value
  }
}

function append(before: LiveLog, fresh: string): LiveLog {
  const text = before.text + fresh
  if (text.length <= keepChars * 1.25) return { ...before, text }
  const from = text.indexOf('\n', text.length - keepChars) + 1
  return { ...before, text: text.slice(from), cut: true }
}
