import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AttemptView } from '../../src/cli/client/views.ts'
import type { SimulationReport } from '../../src/model/simulation.ts'
import { readTrace } from '../../src/simulate/trace/read-trace.ts'
import { startApiDouble, type ApiDouble } from '../doubles/api-double.ts'
import { scenarioOf } from '../simulate/scenario-of.ts'
import { runCli } from './run-cli.ts'

const directory = await mkdtemp(join(tmpdir(), 'cidery-simulate-test-'))
afterAll(() => rm(directory, { recursive: true, force: true }))

const nine = Date.UTC(2026, 2, 2, 9)
const trace = `queue,submittedAt,runsMs
app,2026-03-02T08:00:00Z,600000
app,2026-03-02T08:00:00Z,600000
app,2026-03-02T08:01:00Z,600000
`
const at = (...words: readonly string[]) => runCli(['simulate', ...words], { cwd: directory })

beforeAll(() => writeFile(join(directory, 'jobs.csv'), trace))

describe('cidery simulate', () => {
  it('prints scenarios side by side, and as JSON', async () => {
    const words = ['--trace', 'jobs.csv', '--hosts', '1', '--slots', '1', '--what-if', 'hosts=+2', '--price', '0.5']
    const table = await at(...words)
    expect(table.stderr).toBe('')
    expect(table.code).toBe(0)
    expect(table.stdout).toMatch(/^3 jobs of jobs\.csv \(cidery\), 2026-03-02T08:00:00Z to /)
    for (const row of ['wait, mean', 'wait, p50', 'wait, p90', 'wait, p95', 'wait, p99', 'utilisation', 'host-hours', 'cost', 'noCapacity'])
      expect(table.stdout).toMatch(new RegExp(`^${row} `, 'm'))
    expect(table.stdout).toMatch(/^B: jobs wait \d+% less than in A on average/m)
    const json = await at(...words, '--output', 'json')
    const report = JSON.parse(json.stdout) as SimulationReport & { readonly schemaVersion: number }
    expect(report.schemaVersion).toBe(1)
    expect(report.scenarios.map(({ name, title }) => [name, title])).toEqual([
      ['A', 'a spec made from the trace, 1 host'],
      ['B', 'A with hosts=+2'],
    ])
    expect((await at(...words, '--output', 'name')).stdout).toBe('B\n')
  })

  it('reads several specs, and a trace from standard input', async () => {
    await writeFile(join(directory, 'wide.yaml'), 'version: 1\nqueues: { app: {} }\n')
    await writeFile(join(directory, 'narrow.yaml'), 'version: 1\nqueues: { app: { maxRunning: 1 } }\n')
    const words = ['simulate', '--trace', '-', '--spec', 'wide.yaml', '--spec', 'narrow.yaml', '--hosts', '2', '--json']
    const run = await runCli(words, { cwd: directory, stdin: trace })
    const { scenarios } = JSON.parse(run.stdout) as SimulationReport
    expect(scenarios.map(({ title }) => title)).toEqual(['wide.yaml, 2 hosts', 'narrow.yaml, 2 hosts'])
    expect(scenarios[1]?.waitMs.mean).toBeGreaterThan(scenarios[0]?.waitMs.mean ?? 0)
    expect(scenarios[1]?.heldBack.map(({ code }) => code)).toContain('queueLimit')
  })

  it('writes a page beside what it prints', async () => {
    const run = await at('--trace', 'jobs.csv', '--hosts', '2', '--html', 'day.html')
    expect(run.stderr).toBe('wrote day.html\n')
    const page = await readFile(join(directory, 'day.html'), 'utf8')
    expect(page).toMatch(/^<!doctype html>/)
    expect(page).toContain('How long jobs wait')
  })

  it('shows how far it is on a terminal, and leaves nothing of it there', async () => {
    const run = await runCli(['simulate', '--trace', 'jobs.csv', '--hosts', '2'], { cwd: directory, typed: [], columns: 100 })
    expect(run.stderr).toContain('3 of 3 jobs')
    expect(run.stderr.endsWith('\r\u001B[K')).toBe(true)
  })

  it.each([
    [['--hosts', '2'], 'say which trace'],
    [['--trace', 'none.csv', '--hosts', '2'], 'none.csv cannot be read'],
    [['--trace', 'jobs.csv', '--hosts', '2', '--spec', 'none.yaml'], 'none.yaml cannot be read'],
    [['--sample', '0'], '--sample must be from 1 to'],
    [['--trace', 'jobs.csv', '--hosts', '2', '--html', 'no/such/folder.html'], 'no/such/folder.html cannot be written'],
  ])('ends with 2 for %j', async (words, message) => {
    const run = await at(...words)
    expect(run.code).toBe(2)
    expect(run.stdout).toBe('')
    expect(run.stderr).toContain(message)
  })

  it('tells file, line, column and accepted values of what it cannot read, and ends with 1', async () => {
    await writeFile(join(directory, 'bad.csv'), 'queue,engine,submittedAt,runsMs\napp,qemo,yesterday,5\n')
    const bad = await at('--trace', 'bad.csv', '--hosts', '2')
    expect(bad.code).toBe(1)
    expect(bad.stderr).toContain('bad.csv:2:10 submittedAt: "yesterday" is not taken (accepted: a moment such as 2026-08-03T09:15:00Z')
    await writeFile(join(directory, 'bad.yaml'), 'version: 1\nqueus: {}\n')
    const spec = await at('--trace', 'jobs.csv', '--hosts', '2', '--spec', 'bad.yaml')
    expect(spec.code).toBe(1)
    expect(spec.stderr).toContain('bad.yaml:2:1 queus: unknown field "queus"; did you mean "queues"?')
    const boot = await at('--trace', 'jobs.csv', '--hosts', '2', '--boot', 'qemu=fast')
    expect(boot.stderr).toContain("--boot 'qemu=fast' is not taken")
    expect(boot.code).toBe(1)
  })
})

describe('the sample', () => {
  it('is printed as CSV or as JSON lines, the same for the same seed', async () => {
    const csv = await at('--sample', '30')
    expect(csv.stdout.split('\n')).toHaveLength(32)
    const jobs = readTrace(csv.stdout, { file: 'sample' }).jobs.map((job) => ({ ...job, line: 0 }))
    const lines = await at('--sample', '30', '--output', 'json')
    expect(readTrace(lines.stdout, { file: 'sample' }).jobs.map((job) => ({ ...job, line: 0 }))).toEqual(jobs)
    expect((await at('--sample', '30', '--seed', '2')).stdout).not.toBe(csv.stdout)
  })

  it('answers whether two more hosts or a warm sandbox on each is better for a day of 800 jobs', async () => {
    await writeFile(join(directory, 'day.csv'), (await at('--sample', '800')).stdout)
    const base = ['--trace', 'day.csv', '--hosts', '20', '--json']
    const run = await at(...base, '--what-if', 'hosts=+2', '--what-if', 'pools.default.engines.qemu.warm.test=1')
    const report = JSON.parse(run.stdout) as SimulationReport
    for (const { jobs } of report.scenarios) expect(jobs).toMatchObject({ total: 800, ended: 800, neverStarted: 0, retried: 0 })
    const asIs = scenarioOf(report, 'A')
    const more = scenarioOf(report, 'B')
    const warm = scenarioOf(report, 'C')
    expect(more.waitMs.mean).toBeLessThan(asIs.waitMs.mean)
    expect(warm.waitMs.mean).toBeLessThan(asIs.waitMs.mean)
    expect(warm.bootMs.mean).toBeLessThan(asIs.bootMs.mean)
    expect(more.hostHours).toBeCloseTo(1.1 * asIs.hostHours)
  })
})

describe('cidery job export', () => {
  let double: ApiDouble
  beforeAll(async () => void (double = await startApiDouble()))
  afterAll(() => double.close())
  const cidery = (...args: readonly string[]) => runCli(args, { env: { CIDERY_URL: double.url, CIDERY_TOKEN: double.token } })

  /** Runs a job and says when its last attempt did what: the double has no hosts that would. */
  async function ran(words: readonly string[], times: Partial<AttemptView['times']>): Promise<void> {
    await cidery('run', ...words)
    const job = [...double.state.jobs.values()].at(-1)!
    const attempts = job.attempts.map((attempt) => ({ ...attempt, times: { ...attempt.times, ...times } }))
    double.state.jobs.set(job.id, { ...job, submittedAt: nine, attempts })
  }

  it('writes jobs that ended as a trace that can be replayed', async () => {
    await ran(['--label', 'os=linux', '--', 'make', 'all'], { assigned: nine + 5000, running: nine + 20_000, ended: nine + 80_000 })
    await ran(['--', 'never-started'], {})
    const csv = await cidery('job', 'export')
    expect(csv.stderr).toBe('')
    expect(csv.code).toBe(0)
    const { format, jobs } = readTrace(csv.stdout, { file: 'jobs.csv' })
    expect(format).toBe('cidery')
    expect(jobs).toMatchObject([
      {
        name: 'make all',
        queue: 'default',
        engine: 'user',
        labels: { os: 'linux' },
        submittedAt: nine,
        startedAt: nine + 20_000,
        runsMs: 60_000,
        bootMs: 15_000,
        exitCode: 0,
      },
    ])
    const lines = await cidery('job', 'export', '--format', 'jsonl')
    const plain = (text: string) => readTrace(text, { file: 'x' }).jobs.map((job) => ({ ...job, line: 0 }))
    expect(plain(lines.stdout)).toEqual(plain(csv.stdout))
  })

  it('begins at a moment or an age, and says so when there is nothing', async () => {
    await ran(['--', 'true'], { running: nine, ended: nine })
    expect((await cidery('job', 'export', '--since', '2000-01-01T00:00:00Z')).stdout).toContain('submittedAt')
    expect((await cidery('job', 'export', '--since', '1h')).stderr).toBe('no job ended since then\n')
    const none = await cidery('job', 'export', '--since', '2100-01-01T00:00:00Z')
    expect(none.stdout).toBe('')
    expect(none.stderr).toBe('no job ended since then\n')
    expect((await cidery('job', 'export', '--since', 'monday')).code).toBe(2)
    expect((await cidery('job', 'export', '--format', 'xml')).code).toBe(2)
  })
})
