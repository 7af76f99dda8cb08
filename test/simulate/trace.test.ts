import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { traceHead, traceJsonLine, traceLine, type TraceRow } from '../../src/cli/render/trace.ts'
import { CideryError, type InputProblem } from '../../src/model/errors.ts'
import { minute } from '../../src/model/instant.ts'
import { seededRandom } from '../../src/simulate/random.ts'
import { readCsv } from '../../src/simulate/trace/csv.ts'
import { nameFrom, wordsOf } from '../../src/simulate/trace/elsewhere.ts'
import { readTrace } from '../../src/simulate/trace/read-trace.ts'
import { readMoment } from '../../src/simulate/trace/row.ts'
import { sampleTrace } from '../../src/simulate/trace/sample.ts'

const read = (text: string, format?: string) => readTrace(text, { file: 'jobs.csv', format })

function refused(
  text: string,
  format?: string,
): { readonly message: string; readonly hint: string; readonly problems: readonly InputProblem[] } {
  try {
    read(text, format)
  } catch (error) {
    if (error instanceof CideryError) return { message: error.message, hint: error.hint ?? '', problems: error.problems ?? [] }
    throw error
  }
  throw new Error('it was taken')
}

const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9._-]{0,20}[a-z0-9])?$/)
const text = fc.string({ maxLength: 30 }).map((value) => value.trim())
const moment = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2090, 0) })
const labels = fc.dictionary(fc.constantFrom('os', 'xcode', 'a/b'), fc.oneof(name, fc.constantFrom('two words', '{', '"quoted"', '')), {
  maxKeys: 3,
})

const row: fc.Arbitrary<TraceRow> = fc
  .record({
    name: text,
    queue: name,
    engine: fc.constantFrom(null, 'user', 'qemu', 'tart'),
    image: fc.option(name),
    shape: fc.record({ cpu: fc.integer({ min: 1, max: 64 }), memoryMiB: fc.integer({ min: 1, max: 65_536 }), diskMiB: fc.nat(100_000) }),
    labels,
    priority: fc.integer({ min: -100, max: 100 }),
    submittedAt: moment,
    waitMs: fc.nat(10 * 3_600_000),
    runsMs: fc.nat(10 * 3_600_000),
    bootMs: fc.option(fc.nat(600_000)),
    exitCode: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ waitMs, ...job }) => ({ ...job, startedAt: job.submittedAt + waitMs }))

describe('a trace of cidery', () => {
  it('is read as it was written, as CSV and as JSON lines', () => {
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 8 }), (rows) => {
        const wanted = rows.map((job) => ({ ...job, line: 0 })).sort((one, other) => one.submittedAt - other.submittedAt)
        const csv = read(traceHead(true) + rows.map((job) => traceLine(job, true)).join(''))
        const lines = read(rows.map((job) => traceJsonLine(job, true)).join(''))
        for (const trace of [csv, lines]) {
          expect(trace.format).toBe('cidery')
          expect(trace.jobs.map((job) => ({ ...job, line: 0 }))).toEqual(wanted)
        }
      }),
    )
  })

  it('may say how long jobs run instead of when they started', () => {
    const trace = read('submittedAt,runsMs\n2026-03-02T08:00:00Z,60000\n')
    expect(trace.jobs).toMatchObject([{ queue: 'default', startedAt: null, runsMs: minute, bootMs: null, line: 2 }])
  })

  it('leaves out what never started', () => {
    const trace = read(
      'name,submittedAt,startedAt,endedAt\na,2026-03-02T08:00:00Z,,\nb,2026-03-02T08:00:00Z,2026-03-02T08:00:05Z,2026-03-02T08:01:05Z\n',
    )
    expect(trace.jobs.map(({ name }) => name)).toEqual(['b'])
    expect(trace.leftOut).toEqual([{ reason: 'never started', count: 1 }])
  })
})

describe('a trace of Buildkite', () => {
  const head = 'type,step_key,agent_query_rules,state,priority,created_at,scheduled_at,runnable_at,started_at,finished_at,exit_status'

  it('counts a job from when it could run, and reads its queue from its rules', () => {
    const trace = read(`${head}
script,test,"[""queue=macos-large"",""os=darwin""]",passed,2,2026-03-02T08:00:00.000Z,2026-03-02T08:01:00.000Z,2026-03-02T08:02:00.500Z,2026-03-02T08:03:00.500Z,2026-03-02T08:05:00.500Z,0
`)
    expect(trace.format).toBe('buildkite')
    expect(trace.jobs).toMatchObject([{ name: 'test', queue: 'macos-large', priority: 2, runsMs: 2 * minute, exitCode: 0 }])
    expect(trace.jobs.map(({ startedAt, submittedAt }) => (startedAt ?? 0) - submittedAt)).toEqual([minute])
  })

  it('reads the names of GraphQL as well, and other moments where there is no first choice', () => {
    const trace = read(`agentQueryRules,scheduledAt,startedAt,finishedAt,exitStatus
queue=ios,2026-03-02 08:00:00 UTC,2026-03-02 08:00:30 UTC,2026-03-02 08:10:30 UTC,-1
`)
    expect(trace.jobs).toMatchObject([{ queue: 'ios', runsMs: 10 * minute, exitCode: 255 }])
  })

  it('leaves out waits, blocks, and jobs that did not run', () => {
    const trace = read(`${head}
waiter,,,finished,,2026-03-02T08:00:00Z,,,,,
script,a,queue=ios,canceled,,2026-03-02T08:00:00Z,,,,2026-03-02T08:00:09Z,
script,b,queue=ios,running,,2026-03-02T08:00:00Z,,,2026-03-02T08:00:09Z,,
script,c,queue=ios,passed,,2026-03-02T08:00:00Z,,,2026-03-02T08:00:09Z,2026-03-02T08:00:10Z,0
`)
    expect(trace.jobs.map(({ name }) => name)).toEqual(['c'])
    expect(trace.leftOut).toEqual([
      { reason: 'steps of type waiter', count: 1 },
      { reason: 'never started', count: 1 },
      { reason: 'not ended yet', count: 1 },
    ])
  })
})

describe('a trace of GitHub Actions', () => {
  it('reads the fields of its jobs, as CSV and as JSON lines', () => {
    const csv = read(`id,name,labels,status,conclusion,created_at,started_at,completed_at,runner_id
1,build,"[""self-hosted"",""macOS"",""Xcode-16""]",completed,success,2026-03-02T08:00:00Z,2026-03-02T08:02:00Z,2026-03-02T08:12:00Z,7
2,test,"self-hosted,linux",completed,failure,2026-03-02T08:00:03Z,2026-03-02T08:00:01Z,2026-03-02T08:00:11Z,8
3,skipped,,completed,skipped,2026-03-02T08:00:00Z,2026-03-02T08:00:01Z,2026-03-02T08:00:00Z,
4,cancelled,,completed,cancelled,2026-03-02T08:00:00Z,2026-03-02T08:00:00Z,2026-03-02T08:09:00Z,0
`)
    expect(csv.format).toBe('github')
    expect(csv.jobs).toMatchObject([
      { name: 'build', queue: 'xcode-16', runsMs: 10 * minute, exitCode: 0 },
      { name: 'test', queue: 'default', runsMs: 10_000, exitCode: 1 },
    ])
    expect(csv.jobs.every(({ startedAt, submittedAt }) => (startedAt ?? 0) >= submittedAt)).toBe(true)
    expect(csv.leftOut).toEqual([
      { reason: 'skipped', count: 1 },
      { reason: 'never started', count: 1 },
    ])
    const lines = read(
      `${JSON.stringify({ name: 'build', labels: ['self-hosted', 'macOS', 'Xcode-16'], conclusion: 'success', created_at: '2026-03-02T08:00:00Z', started_at: '2026-03-02T08:02:00Z', completed_at: '2026-03-02T08:12:00Z', runner_id: 7 })}\n`,
    )
    expect(lines.jobs).toMatchObject([{ name: 'build', queue: 'xcode-16', runsMs: 10 * minute }])
  })
})

describe('what cannot be read', () => {
  it('is told with file, line, column and what would be accepted', () => {
    const { message, problems } = refused(
      'name,queue,engine,submittedAt,runsMs,priority\na,app,qemo,2026-03-02T08:00:00Z,1,0\n"b\nb",app,,yesterday,1,0\nc,App!,,2026-03-02T08:00:00Z,1,0\nd,app,,2026-03-02T08:00:00Z,-4,0\ne,app,,2026-03-02T08:00:00Z,4,101\nf\n',
    )
    expect(message).toBe('jobs.csv cannot be replayed')
    expect(problems.map(({ file, line, column, path }) => [file, line, column, path])).toEqual([
      ['jobs.csv', 2, 7, 'engine'],
      ['jobs.csv', 4, 9, 'submittedAt'],
      ['jobs.csv', 5, 3, 'queue'],
      ['jobs.csv', 6, 29, 'runsMs'],
      ['jobs.csv', 7, 31, 'priority'],
      ['jobs.csv', 8, 1, ''],
    ])
    expect(problems[0]?.accepted).toEqual(['user', 'qemu', 'tart'])
    expect(problems[4]?.accepted).toEqual(['a whole number from -100 to 100'])
    for (const { message } of problems) expect(message).not.toBe('')
  })

  it('says which columns it knows when it knows none of a file', () => {
    const { problems } = refused('when,who\n1,2\n')
    expect(problems).toMatchObject([{ file: 'jobs.csv', line: 1, message: 'the columns are when, who' }])
    expect(problems[0]?.accepted).toHaveLength(3)
  })

  it('says which column of a named format is not there, and knows no other format', () => {
    expect(refused('created_at,started_at\n1,2\n', 'github').problems).toMatchObject([{ message: 'there is no column completed_at' }])
    expect(refused('submittedAt,runsMs\n1,2\n', 'githab')).toMatchObject({
      message: 'there is no format "githab" of a trace; did you mean "github"?',
      hint: 'one of cidery, buildkite, github',
    })
  })

  it('shows the first twenty places of many', () => {
    const { message, problems } = refused(`submittedAt,runsMs\n${'x,1\n'.repeat(50)}`)
    expect(message).toBe('jobs.csv cannot be replayed; the first 20 of 50 places')
    expect(problems).toHaveLength(20)
  })

  it('is told of a line that is no JSON, a quote that is never closed, an end before a start, and an empty file', () => {
    expect(refused('{"submittedAt":1700000000000,"runsMs":1}\n{"submittedAt"\n').problems.at(-1)).toMatchObject({ line: 2, column: 1 })
    expect(refused('submittedAt,runsMs\n2026-03-02T08:00:00Z,"1\n').problems[0]).toMatchObject({ line: 2, column: 22 })
    const backwards = 'submittedAt,startedAt,endedAt\n2026-03-02T08:00:00Z,2026-03-02T08:00:05Z,2026-03-02T08:00:04Z\n'
    expect(refused(backwards).problems).toMatchObject([{ line: 2, column: 43, path: 'endedAt' }])
    expect(refused('').message).toBe('jobs.csv has no jobs')
  })
})

describe('reading values', () => {
  it('takes moments as the systems write them', () => {
    const at = Date.UTC(2026, 7, 3, 9, 15)
    for (const text of [
      '2026-08-03T09:15:00Z',
      '2026-08-03T11:15:00+02:00',
      '2026-08-03T11:15:00.000+0200',
      '2026-08-03 09:15:00 UTC',
      '2026-08-03 09:15',
      String(at),
    ])
      expect([text, readMoment(text)]).toEqual([text, at])
    for (const text of ['2026-08-03', '09:15', '2026-13-03T09:15:00Z', 'now', '12', ''])
      expect([text, readMoment(text)]).toEqual([text, undefined])
  })

  it('takes tables as spreadsheets write them', () => {
    const grid = readCsv('\uFEFFa;b\r\n"x ""y""; z";2\r\n\r\n3;\r\n')
    expect(grid.columns).toEqual(['a', 'b'])
    expect(grid.rows.map(({ line, cells }) => [line, cells.get('a')?.text, cells.get('b')?.text])).toEqual([
      [2, 'x "y"; z', '2'],
      [4, '3', ''],
    ])
  })

  it('never loses a value or its place, whatever stands in it', () => {
    const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 6 }), (rows) => {
        const lines = rows.map(([one, other]) => `${quoted(one)},${quoted(other)}`)
        const source = ['a,b', ...lines].join('\n')
        const { rows: found } = readCsv(source)
        expect(found.map(({ cells }) => [cells.get('a')?.text, cells.get('b')?.text])).toEqual(rows)
        for (const { cells } of found) {
          const { line = 0, column = 0 } = cells.get('b') ?? {}
          expect(source.split('\n')[line - 1]?.[column - 1]).toBe('"')
        }
      }),
    )
  })

  it('makes names of words from elsewhere', () => {
    expect(['macOS Large', 'default', '  ', '-x-', 'a'.repeat(80)].map(nameFrom)).toEqual([
      'macos-large',
      'default',
      'default',
      'x',
      'a'.repeat(63),
    ])
    expect(wordsOf('["a","b c"]')).toEqual(['a', 'b c'])
    expect(wordsOf("['a', 'b']")).toEqual(['a', 'b'])
    expect(wordsOf('a;b|c')).toEqual(['a', 'b', 'c'])
  })
})

describe('the sample', () => {
  it('is a working day with bursts and long builds, the same for the same seed', () => {
    const jobs = sampleTrace(800, seededRandom(1).fraction)
    expect(jobs).toEqual(sampleTrace(800, seededRandom(1).fraction))
    expect(jobs).not.toEqual(sampleTrace(800, seededRandom(2).fraction))
    expect(jobs).toHaveLength(800)
    const perMinute = new Map<number, number>()
    for (const { submittedAt } of jobs) {
      const at = Math.floor(submittedAt / minute)
      perMinute.set(at, (perMinute.get(at) ?? 0) + 1)
    }
    expect(Math.max(...perMinute.values())).toBeGreaterThan(10)
    const hourOf = (at: number) => new Date(at).getUTCHours()
    const inHour = (hour: number) => jobs.filter(({ submittedAt }) => hourOf(submittedAt) === hour).length
    expect(inHour(10) + inHour(14)).toBeGreaterThan(2 * (inHour(7) + inHour(17)))
    expect(jobs.filter(({ runsMs }) => runsMs > 45 * minute).length).toBeGreaterThan(20)
  })

  it('is read back as it was made', () => {
    const jobs = sampleTrace(50, seededRandom(3).fraction)
    expect(read(traceHead(false) + jobs.map((job) => traceLine(job, false)).join('')).jobs).toEqual(jobs)
  })
})
