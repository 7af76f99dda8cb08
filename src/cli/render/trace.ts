import { traceColumns } from '../../model/trace.ts'
import type { TraceColumn, TraceJob } from '../../model/trace.ts'

/** A job with what of it is written; `endedAt` is left out where only a length is known, and `runsMs` stands there instead. */
export type TraceRow = Omit<TraceJob, 'line'>

/** The line of names, for jobs that were measured; one that only says how long jobs run has `runsMs` in place of the last moments. */
export function traceHead(measured: boolean): string {
  return `${columnsOf(measured).join(',')}\n`
}

/** One job as a line of CSV. */
export function traceLine(job: TraceRow, measured: boolean): string {
  const fields = fieldsOf(job)
  return `${columnsOf(measured)
    .map((column) => csvValue(fields[column]))
    .join(',')}\n`
}

/** One job as a JSON object on a line of its own; what is not known is left out. */
export function traceJsonLine(job: TraceRow, measured: boolean): string {
  const fields = fieldsOf(job)
  return `${JSON.stringify(Object.fromEntries(columnsOf(measured).map((column) => [column, fields[column] ?? undefined])))}\n`
}

type Column = TraceColumn | 'runsMs'

function columnsOf(measured: boolean): readonly Column[] {
  if (measured) return traceColumns
  return traceColumns.flatMap((column): readonly Column[] => (column === 'endedAt' ? ['runsMs'] : column === 'startedAt' ? [] : [column]))
}

function fieldsOf(job: TraceRow): Readonly<Record<Column, string | number | Readonly<Record<string, string>> | null>> {
  const { shape, startedAt, labels } = job
  const moment = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    name: job.name,
    queue: job.queue,
    engine: job.engine,
    image: job.image,
    cpu: shape.cpu ?? null,
    memoryMiB: shape.memoryMiB ?? null,
    diskMiB: shape.diskMiB ?? null,
    labels: Object.keys(labels).length === 0 ? null : labels,
    priority: job.priority,
    submittedAt: moment(job.submittedAt),
    startedAt: moment(startedAt),
    endedAt: moment(startedAt === null ? null : startedAt + job.runsMs),
    runsMs: job.runsMs,
    bootMs: job.bootMs,
    exitCode: job.exitCode,
  }
}

function csvValue(value: string | number | Readonly<Record<string, string>> | null): string {
  if (value === null) return ''
  const text = typeof value === 'object' ? labelsText(value) : String(value)
  return /[",;\t\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** `os=linux xcode=16`, or as JSON when a value has spaces itself. */
function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
  return pairs.some(([, value]) => /[\s"{]/.test(value)) ? JSON.stringify(labels) : pairs.map(([key, value]) => `${key}=${value}`).join(' ')
}
