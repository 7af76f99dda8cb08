import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startFleet, type Fleet } from '../test/e2e/fleet.ts'
import { waitFor } from '../test/e2e/wait.ts'
import { benchmark, say, type Aim, type BenchOptions, type Report } from './report.ts'
import { figure, median, ratios, spread } from './statistics.ts'

/**
 * From "queued" to the first byte of a job's output, at a client that follows its log, against what the engine itself needs when nothing but a shell
 * drives it. One entry of `engines` per engine: what is bare, and the job that does the same through cidery.
 */

const aims = { factor: 1.1, plusMs: 100 }

interface BenchEngine {
  readonly name: string
  /** What the bare measure consists of, for the table. */
  readonly bareIs: string
  /** Milliseconds to the first byte without cidery; cleans up after itself, outside the time. */
  bare(round: number): Promise<number>
  /** What the job asks for. */
  readonly job: Readonly<Record<string, unknown>>
}

/** Runs a command and gives when its first byte came; rejects when it fails. */
async function firstByte(argv: readonly string[]): Promise<number> {
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  let at = performance.now()
  child.stdout.once('data', () => (at = performance.now()))
  const [code] = (await ended) as [number | null]
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${String(code)}`)
  return at
}

/** A Linux account: made, and a shell in it. */
const accounts: BenchEngine = {
  name: 'user, cold',
  bareIs: 'groupadd, useradd, su',
  job: { engine: 'user' },
  async bare(round) {
    const name = `b${process.pid % 1000}x-${round}`
    const uid = String(650_000 + (process.pid % 1000) * 10 + (round % 10))
    const startedAt = performance.now()
    await firstByte(['groupadd', '-g', uid, name])
    await firstByte(['useradd', '-l', '-M', '-u', uid, '-g', uid, '-s', '/bin/sh', name])
    try {
      return (await firstByte(['su', name, '-c', 'echo first'])) - startedAt
    } finally {
      await firstByte(['userdel', '-f', name])
    }
  },
}

// The qemu engine adds its two here: a cold boot and a resume to SSH, each with the job that does the same.
const engines: readonly BenchEngine[] = [accounts]

interface Measured {
  readonly engine: BenchEngine
  readonly bare: number[]
  readonly ours: number[]
  /** Of our last rounds, by step. */
  readonly steps: Record<string, number[]>
}

/** Submits a job, follows its log from the first moment on, and gives when its first byte came. */
async function throughCidery(fleet: Fleet, engine: BenchEngine, steps: Measured['steps']): Promise<number> {
  const { url, token } = fleet.address()
  const startedAt = performance.now()
  const { id } = await fleet.api.post<{ id: string }>('/jobs', { command: ['echo', 'first'], ...engine.job })
  const response = await fetch(`${url}/api/v1/jobs/${id}/log?follow=1`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(120_000),
  })
  const reader = response.body?.getReader()
  const first = await reader?.read()
  const ms = performance.now() - startedAt
  if (first?.value === undefined) throw new Error(`the job ${id} wrote nothing`)
  while ((await reader?.read())?.done === false);
  const job = await waitFor('the end of the job', async () => {
    const view = await fleet.api.get<{ state: string; exitCode: number | null; stepMs: Readonly<Record<string, number>> }>(`/jobs/${id}`)
    return view.state === 'ended' && view
  })
  if (job.exitCode !== 0) throw new Error(`the job ${id} failed`)
  for (const [step, value] of Object.entries(job.stepMs)) (steps[step] ??= []).push(value)
  return ms
}

async function measure(fleet: Fleet, engine: BenchEngine, rounds: number): Promise<Measured> {
  const measured: Measured = { engine, bare: [], ours: [], steps: {} }
  for (let round = 0; round <= rounds; round += 1) {
    const bare = await engine.bare(round)
    const ours = await throughCidery(fleet, engine, round === 0 ? {} : measured.steps)
    // The first round warms up.
    if (round === 0) continue
    measured.bare.push(bare)
    measured.ours.push(ours)
    say(`${engine.name}, round ${round}: bare ${figure(bare)} ms, through cidery ${figure(ours)} ms`)
  }
  return measured
}

function aimOf({ engine, bare, ours }: Measured): Aim {
  const limit = aims.factor * median(bare) + aims.plusMs
  return {
    aim: `${engine.name}: ≤ ${aims.factor} × bare + ${aims.plusMs} ms = ${figure(limit)} ms`,
    measured: `${figure(median(ours))} ms`,
    met: median(ours) <= limit,
  }
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const canMakeAccounts = process.platform === 'linux' && process.getuid?.() === 0
  if (!canMakeAccounts) throw new Error('this benchmark makes accounts: run it on Linux as root')
  const fleet = await startFleet({ store: 'sqlite', name: 'bench' })
  try {
    const all: Measured[] = []
    for (const engine of engines) all.push(await measure(fleet, engine, quick ? 1 : 15))
    return {
      name: 'overhead',
      columns: ['engine', 'bare is', 'bare ms', 'through cidery ms', 'ratio', 'of which (median ms)'],
      rows: all.map(({ engine, bare, ours, steps }) => [
        engine.name,
        engine.bareIs,
        spread(bare),
        spread(ours),
        spread(ratios(ours, bare)),
        Object.entries(steps)
          .map(([step, values]) => `${step} ${figure(median(values))}`)
          .join(', '),
      ]),
      aims: all.map(aimOf),
      notes: [
        'From sending the job to the API until the first byte of its output at a client that follows the log; source none, one idle host on the same machine.',
        'The bare engine has no limits, mounts, network or clean-up of its own; the steps after `run` come after the first byte.',
        'The user engine keeps no warm sandbox: `< 300 ms onto a warm one` is for engines that do (qemu, tart), which are not measured here yet.',
      ],
    }
  } finally {
    await fleet.remove()
  }
}

await benchmark(run)
