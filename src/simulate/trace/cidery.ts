import { Name } from '../../model/id.ts'
import type { Instant } from '../../model/instant.ts'
import type { Shape } from '../../model/shape.ts'
import type { TraceJob } from '../../model/trace.ts'
import type { TraceFormat } from './format.ts'
import { between } from './row.ts'
import type { Row } from './row.ts'

/** What `cidery job export` writes. A trace made by hand may say `runsMs` instead of `startedAt` and `endedAt`. */
export const cideryTrace: TraceFormat = {
  needs: [['submittedAt'], ['endedAt', 'runsMs']],
  read(row) {
    const submittedAt = row.moment('submittedAt')
    if (submittedAt === undefined) throw row.refuse('submittedAt', 'a job needs the moment it came')
    const startedAt = row.moment('startedAt')
    const runsMs = runOf(row, startedAt)
    if (runsMs === undefined) return { leftOut: 'never started' }
    if (startedAt !== undefined) between(row, [submittedAt, startedAt], 'startedAt')
    return {
      line: row.line,
      name: row.text('name') ?? '',
      queue: nameIn(row, 'queue') ?? 'default',
      engine: row.engine('engine') ?? null,
      image: nameIn(row, 'image') ?? null,
      shape: shapeOf(row),
      labels: row.labels('labels') ?? {},
      priority: row.whole('priority', [-100, 100]) ?? 0,
      submittedAt,
      startedAt: startedAt ?? null,
      runsMs,
      ...measuredOf(row),
    }
  },
}

function measuredOf(row: Row): Pick<TraceJob, 'bootMs' | 'exitCode'> {
  return { bootMs: row.whole('bootMs', [0, Number.MAX_SAFE_INTEGER]) ?? null, exitCode: row.whole('exitCode', [0, 255]) ?? 0 }
}

function runOf(row: Row, startedAt: Instant | undefined): number | undefined {
  const runsMs = row.whole('runsMs', [0, Number.MAX_SAFE_INTEGER])
  if (runsMs !== undefined) return runsMs
  const endedAt = row.moment('endedAt')
  return startedAt === undefined || endedAt === undefined ? undefined : between(row, [startedAt, endedAt], 'endedAt')
}

function nameIn(row: Row, column: string): string | undefined {
  const text = row.text(column)
  if (text === undefined) return undefined
  const name = Name.safeParse(text)
  if (!name.success) throw row.refuse(column, `"${text}" is no name`, [name.error.issues[0]?.message ?? ''])
  return name.data
}

function shapeOf(row: Row): Partial<Shape> {
  const cpu = row.positive('cpu')
  const memoryMiB = row.whole('memoryMiB', [1, 16_777_216])
  const diskMiB = row.whole('diskMiB', [0, 1_073_741_824])
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(diskMiB === undefined ? {} : { diskMiB }),
  }
}
