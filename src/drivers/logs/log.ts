import { CideryError } from '../../model/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Clock } from '../../ports/time.ts'

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LogOptions {
  readonly clock: Clock
  /** Where a whole line goes, its newline included. */
  readonly write: (line: string) => void
  /** `text` for people, `json` for programs: one object per line with `time`, `level`, `message` and the facts. */
  readonly format: 'text' | 'json'
  /** Lines below this are dropped. */
  readonly level?: LogLevel
  /** Takes secrets out of a line; runs last, over everything that is written. */
  readonly redact?: (line: string) => string
}

/** Longer lines are cut: a log is no place for payloads. */
const maxLine = 16_384

/** A log of single lines. It never throws: what cannot be written as JSON is named instead. */
export function createLog(options: LogOptions): Log {
  const lowest = logLevels.indexOf(options.level ?? 'info')
  const toLine = options.format === 'json' ? jsonLine : textLine
  const redact = options.redact ?? ((line: string) => line)

  function at(level: LogLevel): (message: string, facts?: Readonly<Record<string, unknown>>) => void {
    if (logLevels.indexOf(level) < lowest) return () => {}
    return (message, facts = {}) => {
      const line = toLine({
        time: new Date(options.clock.now()).toISOString(),
        level,
        message,
        facts: plain(facts, []) as Record<string, unknown>,
      })
      options.write(`${cut(redact(line))}\n`)
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

interface Entry {
  readonly time: string
  readonly level: LogLevel
  readonly message: string
  readonly facts: Record<string, unknown>
}

function jsonLine(entry: Entry): string {
  // Facts come first, so that none of them can stand for what the log itself says.
  return JSON.stringify({ ...entry.facts, time: entry.time, level: entry.level, message: entry.message })
}

/** `2026-11-21T09:00:00.000Z WARN  the host is silent host=mini-1 silentMs=90000` */
function textLine(entry: Entry): string {
  const facts = Object.entries(entry.facts).map(([name, value]) => ` ${name}=${factText(value)}`)
  return oneLine(`${entry.time} ${entry.level.toUpperCase().padEnd(5)} ${entry.message}${facts.join('')}`)
}

function factText(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
  return JSON.stringify(value) ?? 'undefined'
}

/** Control characters would let whoever chose a name write lines of their own, or colours into a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function cut(line: string): string {
  return line.length <= maxLine ? line : `${line.slice(0, maxLine)}… (${line.length - maxLine} characters more)`
}

/** The value as JSON has it: errors with code, message and causes, nothing circular, nothing that throws. */
function plain(value: unknown, above: readonly unknown[]): unknown {
  if (value instanceof Error) return plainError(value, above)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value) || above.length > 8) return '[…]'
  const path = [...above, value]
  if (Array.isArray(value)) return value.slice(0, 200).map((item) => plain(item, path))
  if (value instanceof Map) return plain(Object.fromEntries(value), above)
  if (value instanceof Set) return plain([...value], above)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, path)]))
}

function plainError(error: Error, above: readonly unknown[]): unknown {
  if (above.includes(error)) return '[…]'
  const code = error instanceof CideryError ? error.code : (error as NodeJS.ErrnoException).code
  const stack =
    error instanceof CideryError
      ? undefined
      : error.stack
          ?.split('\n')
          .slice(1, 6)
          .map((line) => line.trim())
  return {
    ...(code !== undefined && { code }),
    message: error.message,
    ...(error instanceof CideryError && error.hint !== undefined && { hint: error.hint }),
    ...(stack !== undefined && { stack }),
    ...(error.cause !== undefined && { cause: plain(error.cause, [...above, error]) }),
  }
}
