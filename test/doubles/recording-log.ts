import type { Log } from '../../src/ports/log.ts'

export interface LogLine {
  readonly level: keyof Log
  readonly message: string
  readonly facts: Readonly<Record<string, unknown>>
}

/** A log that keeps its lines for a test to look at. */
export function recordingLog(): Log & { readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = []
  function at(level: keyof Log) {
    return (message: string, facts: Readonly<Record<string, unknown>> = {}) => void lines.push({ level, message, facts })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
