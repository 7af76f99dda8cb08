import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { WebSocket } from 'ws'
import type { JobView, SandboxView } from '../src/model/api.ts'
import { startFleet, type Fleet, type FleetOptions } from '../test/e2e/fleet.ts'
import { runCidery } from '../test/e2e/processes.ts'
import { waitFor } from '../test/e2e/wait.ts'
import { ensureGoldenDisk } from '../tools/golden-disk/build.js'
import { acceleratorOf, BareMachines, machineJob } from './bare-machines.ts'
import { firstByte } from './programs.ts'
import { atMost, benchmark, say, type Aim, type BenchOptions, type Report } from './report.ts'
import { figure, median, ratios, spread } from './statistics.ts'

/**
 * From "queued" to the first byte of a job's output, at a client that follows its log, against what the engine itself needs when nothing but a shell
 * drives it; and from asking for a command in a sandbox that runs already to the first byte of its output.
 */

const aims = { factor: 1.1, plusMs: 100, warmMs: 300 }
/** Not alike to the other machines of these measures, so that none of those is taken for one. */
const warmMachines = { queue: 'machines', shape: { ...machineJob.shape, memoryMiB: machineJob.shape.memoryMiB + 64 } }
/** Software emulation on a busy machine is slow. */
const longest = 240_000

/** One way to come to a first byte. */
interface Way {
  readonly name: string
  /** What the bare measure consists of, for the table. */
  readonly bareIs: string
  readonly rounds: number
  readonly aim: 'cold' | 'warm'
  /** Milliseconds without cidery; cleans up after itself, outside the time. */
  bare(round: number): Promise<number>
  ours(steps: Steps): Promise<number>
}

/** Of our rounds, by step of the job. */
type Steps = Record<string, number[]>

interface Measured {
  readonly way: Way
  readonly bare: number[]
  readonly ours: number[]
  readonly steps: Steps
}

/** A Linux account that no other run uses. */
function account(round: number): { readonly name: string; readonly uid: string } {
  return { name: `b${process.pid % 1000}x-${round}`, uid: String(650_000 + (process.pid % 1000) * 20 + (round % 20)) }
}

async function makeAccount({ name, uid }: ReturnType<typeof account>): Promise<void> {
  await firstByte(['groupadd', '-g', uid, name])
  await firstByte(['useradd', '-l', '-M', '-u', uid, '-g', uid, '-s', '/bin/sh', name])
}

/** An account is made, and a shell runs in it; or only the second. */
async function bareAccount(round: number, isThere: boolean): Promise<number> {
  const own = account(round)
  const startedAt = performance.now()
  await makeAccount(own)
  const thereAt = performance.now()
  try {
    return (await firstByte(['su', own.name, '-c', 'echo first'])) - (isThere ? thereAt : startedAt)
  } finally {
    await firstByte(['userdel', '-f', own.name])
  }
}

/** Submits a job, follows its log from the first moment on, and gives when its first byte came. */
async function throughJob(fleet: Fleet, wants: Readonly<Record<string, unknown>>, steps: Steps): Promise<number> {
  const { url, token } = fleet.address()
  const startedAt = performance.now()
  const { id } = await fleet.api.post<{ id: string }>('/jobs', { command: ['echo', 'first'], ...wants })
  const response = await fetch(`${url}/api/v1/jobs/${id}/log?follow=1`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(longest),
  })
  const reader = response.body?.getReader()
  const first = await reader?.read()
  const ms = performance.now() - startedAt
  if (first?.value === undefined) throw new Error(`the job ${id} wrote nothing`)
  while ((await reader?.read())?.done === false);
  const job = await waitFor(
    'the end of the job',
    async () => {
      const view = await fleet.api.get<JobView>(`/jobs/${id}`)
      return view.state === 'ended' && view
    },
    longest,
  )
  if (job.exitCode !== 0) throw new Error(`the job ${id} failed: ${JSON.stringify(job.outcome)}`)
  for (const [step, value] of Object.entries(job.stepMs)) (steps[step] ??= []).push(value)
  return ms
}

/** Has a sandbox made that goes on running. */
async function runningSandbox(fleet: Fleet, wants: Readonly<Record<string, unknown>>): Promise<string> {
  const { id } = await fleet.api.post<SandboxView>('/sandboxes', wants)
  await waitFor(
    `the sandbox ${id} to run`,
    async () => {
      const sandbox = await fleet.api.get<SandboxView>(`/sandboxes/${id}`)
      if (sandbox.state === 'failed') throw new Error(JSON.stringify(sandbox))
      return sandbox.state === 'running'
    },
    longest,
  )
  return id
}

/** Sandboxes of people, and warm ones, outlive their agent: they are removed before it. A host that takes no jobs keeps nothing warm. */
async function leaveNothing(fleet: Fleet): Promise<void> {
  await runCidery(['host', 'cordon', 'host-1'], { env: { CIDERY_STATE: fleet.stateDir, CIDERY_URL: fleet.url } })
  await waitFor('nothing to be warm', async () => (await warmRecords(fleet)).length === 0, longest)
  const { url, token } = fleet.address()
  const left = async (): Promise<readonly SandboxView[]> => {
    const { items } = await fleet.api.get<{ items: readonly SandboxView[] }>('/sandboxes')
    return items.filter(({ state }) => state !== 'gone')
  }
  for (const { id } of await left())
    await fetch(`${url}/api/v1/sandboxes/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } })
  await waitFor('all sandboxes to be gone', async () => (await left()).length === 0, longest)
}

/** Opens a command in a running sandbox, and gives when the first byte of its output came. */
async function throughSandbox(fleet: Fleet, sandboxId: string): Promise<number> {
  const { url, token } = fleet.address()
  const startedAt = performance.now()
  const { streamId } = await fleet.api.post<{ streamId: string }>(`/sandboxes/${sandboxId}/streams`, { command: ['echo', 'first'] })
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/streams/${streamId}`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const ended = Promise.withResolvers<void>()
  let at = Number.NaN
  socket.on('message', (_data, isBinary) => {
    if (isBinary && Number.isNaN(at)) at = performance.now()
  })
  socket.on('close', () => ended.resolve())
  socket.on('error', (error) => ended.reject(error))
  await ended.promise
  if (Number.isNaN(at)) throw new Error(`the command in ${sandboxId} wrote nothing`)
  return at - startedAt
}

/** The same sandbox each time; it is made when it is first needed, so that the host is idle before. */
function throughOneSandbox(fleet: Fleet, wants: Readonly<Record<string, unknown>>): () => Promise<number> {
  let made: Promise<string> | undefined
  return async () => throughSandbox(fleet, await (made ??= runningSandbox(fleet, wants)))
}

async function measure(way: Way, isQuick: boolean): Promise<Measured> {
  const measured: Measured = { way, bare: [], ours: [], steps: {} }
  const rounds = isQuick ? 1 : way.rounds
  // The first round warms up.
  for (let round = isQuick ? 1 : 0; round <= rounds; round += 1) {
    const bare = await way.bare(round)
    const ours = await way.ours(round === 0 ? {} : measured.steps)
    if (round === 0) continue
    measured.bare.push(bare)
    measured.ours.push(ours)
    say(`${way.name}, round ${round}: bare ${figure(bare)} ms, through cidery ${figure(ours)} ms`)
  }
  return measured
}

function aimOf({ way, bare, ours }: Measured): Aim {
  const limit = way.aim === 'warm' ? aims.warmMs : aims.factor * median(bare) + aims.plusMs
  const what = way.aim === 'warm' ? `< ${aims.warmMs} ms` : `≤ ${aims.factor} × bare + ${aims.plusMs} ms = ${figure(limit)} ms`
  return atMost(`${way.name}: ${what}`, { value: median(ours), limit, unit: 'ms' })
}

/** Where machines can run: the golden disk's parts. */
type Disk = Awaited<ReturnType<typeof ensureGoldenDisk>>

/** A fleet whose machines all boot, or start from a saved state; and what is measured on it. */
async function withFleet(
  about: { readonly disk: Disk | null; readonly savedStates: number },
  isQuick: boolean,
): Promise<readonly Measured[]> {
  const { disk, savedStates } = about
  const machines: FleetOptions['machines'] =
    disk === null ? undefined : { folder: dirname(disk.disk), slots: 3, savedStates, ...(savedStates > 0 && { warm: warmMachines }) }
  const fleet = await startFleet({ store: 'sqlite', name: 'bench', ...(machines && { machines }) })
  const bare = disk === null ? null : new BareMachines(disk, acceleratorOf(join(fleet.directory, 'agent')))
  try {
    const ways = savedStates > 0 ? await resumedWays(fleet, bare) : [...accountWays(fleet), ...coldWays(fleet, bare)]
    const all: Measured[] = []
    for (const way of ways) all.push(await measure(way, isQuick))
    return all
  } finally {
    await bare?.remove()
    await leaveNothing(fleet).finally(() => fleet.remove())
  }
}

function accountWays(fleet: Fleet): readonly Way[] {
  const cold: Way = {
    name: 'user, cold',
    bareIs: 'groupadd, useradd, su',
    rounds: 15,
    aim: 'cold',
    bare: (round) => bareAccount(round, false),
    ours: (steps) => throughJob(fleet, { engine: 'user' }, steps),
  }
  const warm: Way = {
    ...cold,
    name: 'user, warm',
    bareIs: 'su',
    aim: 'warm',
    bare: (round) => bareAccount(round, true),
    ours: throughOneSandbox(fleet, { engine: 'user' }),
  }
  return [cold, warm]
}

function coldWays(fleet: Fleet, bare: BareMachines | null): readonly Way[] {
  if (bare === null) return []
  const ours = (steps: Steps): Promise<number> => throughJob(fleet, machineJob, steps)
  return [{ name: 'qemu, cold boot', bareIs: 'disks, QEMU, ssh', rounds: 5, aim: 'cold', bare: () => bare.cold(), ours }]
}

async function resumedWays(fleet: Fleet, bare: BareMachines | null): Promise<readonly Way[]> {
  if (bare === null) return []
  await bare.save()
  const resumed: Way = {
    name: 'qemu, resumed',
    bareIs: 'disks, QEMU from a saved state, ssh',
    rounds: 10,
    aim: 'cold',
    bare: () => bare.resumed(),
    ours: (steps) => throughJob(fleet, machineJob, steps),
  }
  // The first of a shape has its state saved.
  await throughJob(fleet, machineJob, {})
  const warm: Way = {
    ...resumed,
    name: 'qemu, warm',
    bareIs: 'ssh, shared connection',
    aim: 'warm',
    bare: () => bare.running(),
    ours: throughOneSandbox(fleet, { engine: 'qemu', image: machineJob.image }),
  }
  const taken: Way = {
    ...resumed,
    name: 'qemu, a job takes a warm machine',
    bareIs: 'ssh, shared connection',
    aim: 'warm',
    bare: async () => {
      await warmMachine(fleet)
      return bare.running()
    },
    ours: (steps) => throughJob(fleet, { queue: warmMachines.queue }, steps),
  }
  return [resumed, warm, taken]
}

/** Waits until the host has a machine for the next job, and nothing else to do. */
async function warmMachine(fleet: Fleet): Promise<void> {
  const isReady = (text: string): boolean => (JSON.parse(text) as { readonly master: unknown }).master !== null
  await waitFor('a warm machine', async () => (await warmRecords(fleet)).some(isReady), longest)
}

async function warmRecords(fleet: Fleet): Promise<readonly string[]> {
  const folder = join(fleet.directory, 'agent/engines/qemu/records')
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith('wrm_') && name.endsWith('.json'))
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
}

async function goldenDisk(): Promise<Disk | null> {
  const has = (command: string): boolean => spawnSync(command, ['--version']).status === 0
  return has('qemu-system-x86_64') && has('qemu-img') ? ensureGoldenDisk() : null
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const canMakeAccounts = process.platform === 'linux' && process.getuid?.() === 0
  if (!canMakeAccounts) throw new Error('this benchmark makes accounts: run it on Linux as root')
  say('the golden disk is built first when it is not there: a minute or more')
  const disk = await goldenDisk()
  const all = [
    ...(await withFleet({ disk, savedStates: 0 }, quick)),
    ...(disk === null ? [] : await withFleet({ disk, savedStates: 4 }, quick)),
  ]
  return {
    name: 'overhead',
    columns: ['engine', 'bare is', 'bare ms', 'through cidery ms', 'ratio', 'of which (median ms)'],
    rows: all.map(({ way, bare, ours, steps }) => [
      way.name,
      way.bareIs,
      spread(bare),
      spread(ours),
      spread(ratios(ours, bare)),
      Object.entries(steps)
        .map(([step, values]) => `${step} ${figure(median(values))}`)
        .join(', '),
    ]),
    aims: all.map(aimOf),
    notes: [
      'Cold and resumed: from sending a job to the API until the first byte of its output at a client that follows the log; source none, one idle host on the same machine.',
      'Warm: from asking for a command in a sandbox that runs already until the first byte of its output; or, for a job that takes a warm machine, from sending the job.',
      'A bare account has no limits, mounts, network or clean-up of its own; a bare machine has the engine’s disks, words of QEMU, kernel and guest, keys made before, and no user or network of its own. The steps after `run` come after the first byte.',
      ...(disk === null ? ['QEMU is not installed (Debian packages qemu-system-x86, qemu-utils): no machines.'] : []),
    ],
  }
}

await benchmark(run)
