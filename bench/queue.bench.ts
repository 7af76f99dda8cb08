import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { AttemptReport, DesiredAttempt } from '../src/model/sync.ts'
import { startPostgres, type PostgresServer } from '../test/store/postgres-server.ts'
import { BenchAgent } from './agents.ts'
import { startBenchFleet, type BenchFleet } from './fleet.ts'
import { startProgram, type Program } from './programs.ts'
import { startRedis, type RedisServer } from './redis-server.ts'
import { atLeast, benchmark, say, type Aim, type BenchOptions, type Report } from './report.ts'
import { figure, median, ratios, spread } from './statistics.ts'

/**
 * Jobs per second from a full queue to their recorded end: placed by labels on one of many hosts, delivered to its agent over HTTP, reported, recorded;
 * each step durable. The peers take and complete jobs of a queue inside one process, and match no labels.
 */

/** Of each host: more than a real one has, so that as many jobs are under way as a peer takes at once. */
const slots = 20
const versions = ['14', '15', '16', '17']
/** Short, so that a round is over soon after its last job. */
const pollMs = 1000

interface Scale {
  readonly hosts: number
  readonly rounds: number
  /** Of the round that warms up. */
  readonly jobs: number
  readonly roundMs: number
}

/** Jobs of a round: as many as take about its time at the last rate, within these. */
const [fewest, most] = [40, 20_000]

/** One system at one setting: does a round of so many jobs, answers jobs per second. */
interface Contender {
  readonly name: string
  readonly onStore: 'PostgreSQL' | 'SQLite / Redis'
  /** One job at a time is claimed, or as many as it can. */
  readonly batches: 'ours' | 'one' | 'many'
  round(jobs: number): Promise<number>
}

function ended(attempt: DesiredAttempt): AttemptReport {
  const now = Date.now()
  return {
    id: attempt.id,
    jobId: attempt.jobId,
    generation: attempt.generation,
    revision: 1,
    state: 'ended',
    times: { ended: now },
    outcome: { kind: 'exited', code: 0 },
    isolation: 'account',
    logBytes: 0,
    artifacts: [],
    artifactFailures: [],
    notes: [],
  }
}

class OurFleet {
  readonly #fleet: BenchFleet
  readonly #agents: readonly BenchAgent[]
  readonly #ended = new Set<string>()
  #over = false
  #check: () => void = () => undefined
  #failure: Error | null = null

  private constructor(fleet: BenchFleet, agents: readonly BenchAgent[]) {
    this.#fleet = fleet
    this.#agents = agents
  }

  static async start(hosts: number, postgres?: string): Promise<OurFleet> {
    const fleet = await startBenchFleet({
      hosts,
      labels: (number) => ({ xcode: versions[number % versions.length] ?? '' }),
      ...(postgres === undefined ? {} : { postgres }),
    })
    const agents = fleet.hosts.map((host) => new BenchAgent(host, fleet.port))
    const ours = new OurFleet(fleet, agents)
    await ours.#closeHosts()
    return ours
  }

  /** Fills the queue while no host has room, then gives the hosts their room and waits for the last end. */
  async round(jobs: number): Promise<number> {
    this.#ended.clear()
    const numbers = Array.from({ length: jobs }, (_, number) => number)
    await this.#submit(numbers)
    this.#over = false
    const last = new Promise<void>((resolve) => {
      this.#check = () => (this.#ended.size >= jobs || this.#failure !== null) && resolve()
    })
    const startedAt = performance.now()
    const serving = this.#agents.map((agent) => this.#serve(agent))
    await last
    const seconds = (performance.now() - startedAt) / 1000
    this.#over = true
    await Promise.all(serving)
    await this.#closeHosts()
    if (this.#failure !== null) throw this.#failure
    return jobs / seconds
  }

  async #submit(numbers: readonly number[]): Promise<void> {
    for (let start = 0; start < numbers.length; start += 50) {
      await Promise.all(
        numbers.slice(start, start + 50).map((number) =>
          this.#fleet.api.post('/jobs', {
            command: ['true'],
            labels: { xcode: versions[number % versions.length] },
            shape: { cpu: 0.25, memoryMiB: 256, diskMiB: 64 },
          }),
        ),
      )
    }
  }

  async #serve(agent: BenchAgent): Promise<void> {
    try {
      agent.tellSlots(slots)
      let answer = await agent.sync({ facts: true, waitMs: 0 })
      let reports: readonly AttemptReport[] = []
      for (;;) {
        for (const { id, ended: isOver } of answer.acknowledged.attempts) if (isOver) this.#ended.add(id)
        this.#check()
        if (this.#over) return
        reports = (answer.desired?.attempts ?? []).filter(({ id }) => !this.#ended.has(id)).map(ended)
        answer = await agent.sync({ facts: false, waitMs: reports.length > 0 ? 0 : pollMs, attempts: [...reports] })
      }
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error))
      this.#check()
    }
  }

  async #closeHosts(): Promise<void> {
    const closing = this.#agents.map((agent) => {
      agent.tellSlots(0)
      return agent.sync({ facts: true, waitMs: 0 })
    })
    await Promise.all(closing)
  }

  async stop(): Promise<void> {
    for (const agent of this.#agents) agent.close()
    await this.#fleet.remove()
  }
}

/** A peer's program at one setting; the program serves several. */
function peer(program: Program, about: Omit<Contender, 'round'>, setting: Readonly<Record<string, number>>): Contender {
  return {
    ...about,
    async round(jobs) {
      program.say(JSON.stringify({ ...setting, jobs }))
      return Number(await program.line())
    },
  }
}

function peerProgram(file: string, argument: string): Program {
  return startProgram([process.execPath, join(import.meta.dirname, 'peers', file), argument])
}

/** Starts everything that takes part; `undo` ends it again. */
async function start(scale: Scale, undo: (() => Promise<void>)[]): Promise<readonly Contender[]> {
  const postgres: PostgresServer = await startPostgres()
  undo.push(() => postgres.stop())
  const onPostgres = await OurFleet.start(scale.hosts, await postgres.createDatabase())
  undo.push(() => onPostgres.stop())
  const onSqlite = await OurFleet.start(scale.hosts)
  undo.push(() => onSqlite.stop())
  const boss = peerProgram('pg-boss.js', await postgres.createDatabase())
  const graphile = peerProgram('graphile-worker.js', await postgres.createDatabase())
  undo.push(
    () => boss.stop(),
    () => graphile.stop(),
  )
  const pg = { onStore: 'PostgreSQL' } as const
  const contenders: Contender[] = [
    { ...pg, name: 'cidery', batches: 'ours', round: (jobs) => onPostgres.round(jobs) },
    peer(boss, { ...pg, name: 'pg-boss, batches of 1, 8 workers', batches: 'one' }, { batch: 1, workers: 8 }),
    peer(boss, { ...pg, name: 'pg-boss, batches of 50, 4 workers', batches: 'many' }, { batch: 50, workers: 4 }),
    peer(graphile, { ...pg, name: 'graphile-worker, 8 workers', batches: 'one' }, { workers: 8, local: 0 }),
    peer(graphile, { ...pg, name: 'graphile-worker, local queue of 500, 24 workers', batches: 'many' }, { workers: 24, local: 500 }),
    { onStore: 'SQLite / Redis', name: 'cidery, on SQLite in process, no network', batches: 'ours', round: (jobs) => onSqlite.round(jobs) },
  ]
  return [...contenders, ...(await bullmq(undo))]
}

async function bullmq(undo: (() => Promise<void>)[]): Promise<readonly Contender[]> {
  if (spawnSync('redis-server', ['--version']).status !== 0) return []
  const redis: RedisServer = await startRedis()
  undo.push(() => redis.stop())
  const program = peerProgram('bullmq.js', String(redis.port))
  undo.push(() => program.stop())
  const onStore = 'SQLite / Redis'
  return [
    peer(program, { onStore, name: 'BullMQ, one at a time', batches: 'one' }, { workers: 1 }),
    peer(program, { onStore, name: 'BullMQ, 16 at a time', batches: 'many' }, { workers: 16 }),
  ]
}

interface Result {
  readonly contender: Contender
  readonly rates: number[]
}

/** All of them in each round, so that a busy moment of the machine hits neighbours alike. The first round only warms up. */
async function play(contenders: readonly Contender[], { rounds, jobs, roundMs }: Scale): Promise<readonly Result[]> {
  const results: readonly Result[] = contenders.map((contender) => ({ contender, rates: [] }))
  const last = new Map<Contender, number>()
  for (let round = 0; round <= rounds; round += 1) {
    for (const { contender, rates } of results) {
      const known = last.get(contender)
      const sized = known === undefined ? jobs : Math.round((known * roundMs) / 1000)
      const rate = await contender.round(Math.min(most, Math.max(fewest, sized)))
      last.set(contender, rate)
      if (round > 0) rates.push(rate)
      say(`round ${round}: ${contender.onStore}, ${contender.name}: ${figure(rate)} jobs/s`)
    }
  }
  return results
}

/** Per store: at least as fast as each peer at its best, and five times as fast as one that takes one job at a time. */
function aimsOf(results: readonly Result[]): readonly Aim[] {
  return results.flatMap(({ contender, rates }) => {
    if (contender.batches === 'ours') return []
    const wanted = contender.batches === 'one' ? 5 : 1
    const value = median(ratios(oursBeside(results, contender), rates))
    return [atLeast(`${contender.onStore}: ≥ ${wanted} × ${contender.name}`, { value, limit: wanted, unit: '×' })]
  })
}

function oursBeside(results: readonly Result[], { onStore }: Contender): readonly number[] {
  return results.find(({ contender }) => contender.batches === 'ours' && contender.onStore === onStore)?.rates ?? []
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const undo: (() => Promise<void>)[] = []
  const scale = quick ? { hosts: 8, rounds: 1, jobs: 40, roundMs: 100 } : { hosts: 100, rounds: 5, jobs: 400, roundMs: 3000 }
  try {
    const results = await play(await start(scale, undo), scale)
    const withRedis = results.some(({ contender }) => contender.name.startsWith('BullMQ'))
    return {
      name: 'queue',
      columns: ['store', 'system', 'jobs/s', 'cidery is'],
      rows: results.map(({ contender, rates }) => [
        contender.onStore,
        contender.name,
        spread(rates),
        contender.batches === 'ours' ? '' : `${spread(ratios(oursBeside(results, contender), rates))} ×`,
      ]),
      aims: aimsOf(results),
      notes: [
        `Rounds of about ${scale.roundMs / 1000} s each. cidery: jobs that want one of 4 labels, ${scale.hosts} hosts with agents over HTTP; from the first host with room to the last end that was recorded and acknowledged.`,
        'The peers run in one process beside their server, with handlers that do nothing, match no labels and send nothing over HTTP.',
        'SQLite works in process, no network; Redis syncs its append-only file before each answer.',
        ...(withRedis ? [] : ['redis-server is not installed (Debian package redis-server): no BullMQ.']),
      ],
    }
  } finally {
    for (const step of undo.toReversed()) await step()
  }
}

await benchmark(run)
