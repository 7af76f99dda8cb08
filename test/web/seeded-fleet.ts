import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { createSqliteStore } from '../../src/drivers/stores/sqlite/sqlite-store.ts'
import type { Host } from '../../src/model/host.ts'
import { formatId, type IdKind } from '../../src/model/id.ts'
import { hour, minute, second } from '../../src/model/instant.ts'
import type { Attempt, Job, Outcome } from '../../src/model/job.ts'
import { readSpecFile } from '../../src/observe/spec-file.ts'
import type { Writer } from '../../src/ports/store.ts'
import { chunks } from '../../src/record/chunks.ts'
import { migrate } from '../../src/record/migrate.ts'
import { attemptRow, hostDoc, jobRow } from '../../src/record/rows.ts'
import { applySpec } from '../../src/record/specs.ts'
import { controllerProcess, type ControllerProcess } from '../controller/controller-process.ts'
import { makeEngine, makeFacts, makeHost, makeJob, provenReady } from '../decide/build-world.ts'

/** Hosts stay what they are though nobody syncs: nothing is lost or too old while a test looks. */
const spec = `version: 1
pools:
  ios: { hosts: ['ios-*'], labels: { xcode: '16' } }
  macos: { hosts: ['mac-*'] }
  linux: { hosts: ['linux-*'] }
queues:
  default: {}
  ios: { pools: [ios], weight: 3 }
  release: { weight: 10, maxRunning: 1 }
limits: { syncPoll: 2h, attemptLease: 12h }
`

const parsed = readSpecFile(spec, 'cidery.yaml')

export interface SeededFleet {
  readonly controller: ControllerProcess
  /** A job with two attempts, of which the second passed. */
  readonly retriedJob: string
  readonly password: () => Promise<string>
}

interface Kind {
  readonly pool: string
  readonly prefix: string
}

const kinds: readonly Kind[] = [
  { pool: 'ios', prefix: 'ios' },
  { pool: 'ios', prefix: 'ios' },
  { pool: 'macos', prefix: 'mac' },
  { pool: 'linux', prefix: 'linux' },
]

/** A real controller over a store that was filled before it started: so many hosts in every state, with jobs that run, wait and ended. */
export async function seededFleet(hostCount: number): Promise<SeededFleet> {
  const controller = await controllerProcess()
  const clock = createSystemClock()
  await mkdir(controller.state, { recursive: true, mode: 0o700 })
  const store = await createSqliteStore({ path: join(controller.state, 'state.db'), clock, timers: createSystemTimers() })
  const now = clock.now()
  const seed = seedOf(hostCount, now)
  try {
    await migrate(store, { clock })
    await store.write(async (tx) => {
      await applySpec(tx, { generation: 1, source: spec, appliedAt: now, appliedBy: 'user:admin' })
      await insert(tx, seed)
    })
  } finally {
    await store.close()
  }
  const logs = join(controller.state, 'blobs', 'logs')
  await mkdir(logs, { recursive: true, mode: 0o700 })
  for (const [attempt, text] of seed.logs) await writeFile(join(logs, attempt), text, { mode: 0o600 })
  await controller.start()
  return {
    controller,
    retriedJob: seed.retriedJob,
    password: async () => (await readFile(join(controller.state, 'admin.password'), 'utf8')).trim(),
  }
}

interface Seed {
  readonly hosts: readonly Host[]
  readonly jobs: readonly Job[]
  readonly attempts: readonly Attempt[]
  readonly logs: ReadonlyMap<string, string>
  readonly retriedJob: string
}

interface Wants {
  readonly name?: string
  readonly queue?: string
  readonly labels?: Readonly<Record<string, string>>
}

function idOf<K extends IdKind>(kind: K, number: number, at: number) {
  const digits = new Uint8Array(16)
  for (let place = 15, rest = number; place >= 0; place -= 1, rest = Math.floor(rest / 32)) digits[place] = rest % 32
  return formatId(kind, at, digits)
}

/** Which of many hosts have trouble; of two none has. */
const troubles: readonly { readonly every: number; readonly from: number; readonly change: (now: number) => Partial<Host> }[] = [
  { every: 97, from: 11, change: (now) => ({ state: 'lost', lastSeenAt: now - 25 * minute }) },
  {
    every: 61,
    from: 23,
    change: (now) => ({ schedulable: { kind: 'cordoned', by: 'user:alice', at: now - hour, reason: 'new power supply' } }),
  },
  {
    every: 211,
    from: 31,
    change: (now) => ({
      schedulable: {
        kind: 'quarantined',
        at: now - 20 * minute,
        reason: '3 attempts in a row failed there for a fault of the infrastructure',
        cure: 'look at its log, then cidery host uncordon',
      },
    }),
  },
  {
    every: 83,
    from: 37,
    change: (now) => ({ schedulable: { kind: 'draining', by: 'user:bob', at: now - 5 * minute, reason: 'macOS update', deadline: null } }),
  },
  {
    every: 131,
    from: 41,
    change: (now) => ({
      facts: makeFacts({
        at: now,
        readiness: [
          {
            engine: 'user',
            image: null,
            check: { ok: false, at: now - minute, reason: 'the disk is full' },
            boot: { ok: true, at: now - hour, reason: '' },
          },
        ],
      }),
    }),
  },
  { every: 173, from: 47, change: () => ({ facts: makeFacts({ readiness: [provenReady('user', null, 1)] }) }) },
]

function seedOf(hostCount: number, now: number): Seed {
  const hosts: Host[] = []
  const jobs: Job[] = []
  const attempts: Attempt[] = []
  const logs = new Map<string, string>()
  const width = String(hostCount).length
  const names = new Map<string, number>()
  const kindsOfJobs = ['unit tests', 'ui tests', 'archive', 'lint', 'nightly build', 'swift package']

  function addJob(host: Host | null, change: Partial<Job>, wants: Wants = {}): Job {
    const number = jobs.length
    const submittedAt = change.submittedAt ?? now - 4 * minute - (number % 50) * second
    const queue = wants.queue ?? 'default'
    const plain = makeJob(number, {
      spec: parsed,
      wants: { name: `${kindsOfJobs[number % kindsOfJobs.length] ?? ''} #${4100 + number}`, ...wants },
    })
    const job: Job = { ...plain, queue, submittedAt, id: idOf('job', number, submittedAt), attempts: host === null ? 0 : 1, ...change }
    jobs.push(job)
    return job
  }

  function addAttempt(job: Job, host: Host, change: Partial<Attempt>): Attempt {
    const number = attempts.length
    const assigned = change.times?.assigned ?? job.submittedAt + 1200
    const attempt: Attempt = {
      id: idOf('att', number, assigned),
      jobId: job.id,
      number: 1,
      hostId: host.id,
      hostBootId: 'boot-1',
      buildId: null,
      state: 'running',
      generation: 1,
      cancelRequested: null,
      receiptAt: now,
      leaseUntil: now + 12 * hour,
      times: { assigned, booting: assigned + 300, preparing: assigned + 6300, sourceReady: assigned + 9000, running: assigned + 9500 },
      outcome: null,
      isolation: 'account',
      logBytes: 0,
      logComplete: false,
      artifacts: [],
      artifactFailures: [],
      notes: [],
      ...change,
    }
    attempts.push(attempt)
    return attempt
  }

  for (let index = 0; index < hostCount; index += 1) {
    const { pool, prefix } = kinds[index % kinds.length] ?? { pool: 'ios', prefix: 'ios' }
    const place = (names.get(prefix) ?? 0) + 1
    names.set(prefix, place)
    const name = `${prefix}-${String(place).padStart(width, '0')}`
    const trouble = hostCount < 10 ? undefined : troubles.find(({ every, from }) => (index + 1) % every === from)
    const host: Host = {
      ...makeHost(index, { name, pool, id: idOf('host', index, now - 90 * 24 * hour), enrolledAt: now - 90 * 24 * hour, lastSeenAt: now }),
      facts: factsOf(name, { pool, now, seed: index }),
      ...trouble?.change(now),
    }
    hosts.push(host)
    const used = trouble === undefined || trouble.from === 37 ? (index * 7) % 11 : 0
    for (let slot = 0; slot < Math.min(4, used - 3); slot += 1) {
      const queue = pool === 'ios' ? 'ios' : 'default'
      const job = addJob(host, { state: 'running' }, { queue })
      addAttempt(job, host, {})
    }
  }
  const [first, other] = hosts as [Host, Host]
  addJob(null, { submittedAt: now - 3 * minute }, { name: 'archive for the store', queue: 'ios', labels: { xcode: '17' } })
  addJob(null, { submittedAt: now - 2 * minute }, { name: 'screenshots', queue: 'ios', labels: { xcode: '17' } })
  const releasing = addJob(first, { state: 'running' }, { name: 'release 4.2', queue: 'release' })
  addAttempt(releasing, first, {})
  for (const name of ['release 4.1.9', 'release 4.3-beta']) addJob(null, { submittedAt: now - 8 * minute }, { name, queue: 'release' })
  const outcomes: readonly Outcome[] = [
    { kind: 'exited', code: 0 },
    { kind: 'exited', code: 1 },
    { kind: 'exited', code: 0 },
    { kind: 'timedOut', afterS: 3600 },
    { kind: 'exited', code: 0 },
  ]
  for (const [index, outcome] of outcomes.entries()) {
    const submittedAt = now - 40 * minute + index * minute
    const times = whole(submittedAt, 240)
    const job = addJob(other, { state: 'ended', outcome, submittedAt, endedAt: times.ended, generation: 4 })
    addAttempt(job, other, { state: 'ended', outcome, times, logComplete: true })
  }
  const retried = retriedJob(now, { first, other, addJob, addAttempt })
  logs.set(retried.attempt, retried.log)
  return { hosts, jobs, attempts, logs, retriedJob: retried.job }
}

function whole(submittedAt: number, runS: number): Attempt['times'] & { readonly ended: number } {
  const assigned = submittedAt + 9000
  const running = assigned + 13_000
  const collecting = running + runS * second
  return {
    assigned,
    running,
    collecting,
    booting: assigned + 400,
    preparing: assigned + 8000,
    sourceReady: assigned + 12_000,
    cleaning: collecting + 6000,
    ended: collecting + 9000,
  }
}

interface Adding {
  readonly first: Host
  readonly other: Host
  readonly addJob: (host: Host | null, change: Partial<Job>, wants?: Wants) => Job
  readonly addAttempt: (job: Job, host: Host, change: Partial<Attempt>) => Attempt
}

function retriedJob(now: number, { first, other, addJob, addAttempt }: Adding): { job: string; attempt: string; log: string } {
  const submittedAt = now - 12 * minute
  const outcome: Outcome = { kind: 'exited', code: 0 }
  const broken: Outcome = { kind: 'infrastructure', part: 'boot', code: 'BOOT_FAILED', message: 'the sandbox did not boot within 2m' }
  const assigned = submittedAt + 7000
  const times = whole(assigned + 70_000, 180)
  const job = addJob(
    first,
    { state: 'ended', outcome, submittedAt, endedAt: times.ended, attempts: 2, infrastructureFailures: 1, generation: 6 },
    { name: 'app: build and unit tests', queue: 'ios', labels: { xcode: '16' } },
  )
  addAttempt(job, first, {
    state: 'ended',
    outcome: broken,
    times: { assigned, booting: assigned + 500, ended: assigned + 62_000 },
    logComplete: true,
  })
  const log = buildLog()
  const attempt = addAttempt(job, other, {
    number: 2,
    generation: 3,
    state: 'ended',
    outcome,
    times,
    logBytes: Buffer.byteLength(log),
    logComplete: true,
    artifacts: [{ path: 'build/App.ipa', sizeBytes: 48_211_233, mode: 0o644, blob: 'ab'.repeat(32) }],
  })
  return { job: job.id, attempt: attempt.id, log }
}

/** What a build tool writes, colours and all. */
function buildLog(): string {
  const lines = ['\u001b[1mResolving packages\u001b[0m', 'Fetched swift-collections 1.1.4 (0.62s)', 'Fetched swift-log 1.6.3 (0.41s)']
  for (let file = 1; file <= 140; file += 1) {
    lines.push(`\u001b[2m[${String(file).padStart(3)}/140]\u001b[0m Compiling \u001b[36mApp\u001b[0m Sources/App/Feature${file}.swift`)
    if (file % 47 === 0)
      lines.push(
        `\u001b[33mwarning:\u001b[0m variable 'state' was never mutated; consider changing to 'let' constant (Feature${file}.swift:${file})`,
      )
  }
  lines.push('\u001b[1mTest Suite AppTests\u001b[0m')
  for (let test = 1; test <= 60; test += 1)
    lines.push(`  \u001b[32m✓\u001b[0m testCase${test} \u001b[2m(${(0.01 * ((test * 37) % 90)).toFixed(3)} seconds)\u001b[0m`)
  lines.push('\u001b[1;32mExecuted 60 tests, with 0 failures\u001b[0m in 12.804 seconds')
  return `${lines.join('\n')}\n`
}

function factsOf(hostname: string, about: { readonly pool: string; readonly now: number; readonly seed: number }): Host['facts'] {
  const { pool, now, seed } = about
  const isMac = pool !== 'linux'
  return makeFacts({
    hostname,
    at: now - 4 * second,
    os: isMac ? 'macos' : 'linux',
    osVersion: isMac ? '15.5' : 'Debian 13',
    arch: isMac ? 'arm64' : 'x64',
    capacity: { cpu: 10, memoryMiB: 32_768, diskMiB: 953_000 },
    free: { cpu: 4, memoryMiB: 12_800, diskMiB: 512_000 },
    load1: 2.4 + (seed % 7) / 3,
    diskUsed: 0.46,
    engines: [makeEngine('user')],
    readiness: [provenReady('user', null, now - (1 + (seed % 4)) * minute)],
    clockSkewMs: 3,
  })
}

const rowsAtOnce = 500

async function insert(tx: Writer, { hosts, jobs, attempts }: Seed): Promise<void> {
  const hostRows = hosts.map((host) => ({
    id: host.id,
    name: host.name,
    pool: host.pool,
    state: host.state,
    generation: host.generation,
    desired_generation: host.desiredGeneration,
    last_seen_at: host.lastSeenAt,
    boot_id: host.bootId,
    key_hash: null,
    next_key_hash: null,
    enrolled_at: host.enrolledAt,
    doc: hostDoc(host),
  }))
  for (const part of chunks(hostRows, rowsAtOnce)) await tx.insertInto('hosts').values(part).execute()
  for (const part of chunks(jobs.map(jobRow), rowsAtOnce)) await tx.insertInto('jobs').values(part).execute()
  const attemptRows = attempts.map((attempt) => attemptRow(attempt, { revision: 1, endedAt: attempt.times.ended ?? null }))
  for (const part of chunks(attemptRows, rowsAtOnce)) await tx.insertInto('attempts').values(part).execute()
}
