import type { Instant } from '../../model/instant.ts'
import type { TraceJob } from '../../model/trace.ts'

/** What a trace of another CI system tells of a job. */
export interface JobElsewhere {
  readonly line: number
  readonly name: string
  readonly queue: string
  readonly priority: number
  readonly submittedAt: Instant
  readonly startedAt: Instant
  readonly runsMs: number
  readonly exitCode: number
}

/** A job of another CI system as one of ours: engine, image and shape are what its queue says, and how long its machine took to boot is not known. */
export function fromElsewhere(job: JobElsewhere): TraceJob {
  return { ...job, engine: null, image: null, shape: {}, labels: {}, bootMs: null }
}

/** A word from elsewhere as a name of ours: `macOS Large` is `macos-large`. */
export function nameFrom(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+/g, '')
    .slice(0, 63)
    .replaceAll(/[^a-z0-9]+$/g, '')
  return name === '' ? 'default' : name
}

/** Words of a cell that holds several: a JSON array, as the API gives it, or words with commas, semicolons, bars or spaces between. */
export function wordsOf(text: string): readonly string[] {
  if (text.startsWith('[')) {
    try {
      const value: unknown = JSON.parse(text)
      if (Array.isArray(value)) return value.map(String)
    } catch {
      // Some tools write a list like one, with other quotes: its words are taken below.
    }
  }
  return text
    .split(/[\s,;|]+/)
    .map((word) => word.replaceAll(/^["'[]+|["'\]]+$/g, ''))
    .filter((word) => word !== '')
}
