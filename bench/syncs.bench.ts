import { join } from 'node:path'
import { temporaryDirectory } from '../test/e2e/processes.ts'
import { BenchAgent, inTurn, loadWith, parkPolls } from './agents.ts'
import { startBenchFleet, type BenchFleet } from './fleet.ts'
import { cpuMs, residentMiB, startProgram } from './programs.ts'
import { atLeast, benchmark, say, type BenchOptions, type Report } from './report.ts'
import { figure, median, percentile, ratios, spread } from './statistics.ts'

/**
 * Syncs per second of one controller process, each with changed facts that are durable before the answer; then the time from a change of what a host
 * should look like to the answer of its parked poll, while every host has one. Peers: Fastify that stores nothing, and SQLite without a network.
 */

const ofFastify = 0.6
/** Requests under way at once, each of another agent; the other agents hold their connection. */
const atOnce = 256
/** Held by Fastify at most: with ours beside them, a process that may open 20,000 files has enough. */
const bareConnections = 5000
/** Bytes of a host's row, and rows per commit of the bare loop. */
const [rowBytes, group] = ['1200', '100']
/** Wakes before the first that counts: by then every poll is parked. */
const warmUps = 50

interface Scale {
  readonly agents: number
  readonly rounds: number
  readonly roundMs: number
  readonly wakes: number
}

interface Measured {
  readonly agents: number
  readonly ours: readonly number[]
  readonly fastify: readonly number[]
  readonly sqlite: readonly number[]
  /** Processor time of the controller per sync, and of Fastify per request. */
  readonly oursUs: readonly number[]
  readonly fastifyUs: readonly number[]
  readonly wakes: readonly number[]
  readonly kiBPerAgent: number
}

async function measure(scale: Scale): Promise<Measured> {
  const fleet = await startBenchFleet({ hosts: scale.agents })
  const emptyMiB = residentMiB(fleet.pid)
  const agents = fleet.hosts.map((host) => new BenchAgent(host, fleet.port))
  try {
    // The first sync of each brings its host up and teaches it what it should look like.
    for (let turn = 0; turn < 2; turn += 1) await inTurn(agents, (agent) => agent.sync({ facts: true, waitMs: 0 }))
    say(`${scale.agents} agents are in sync`)
    const rates = await compare(agents, fleet, scale)
    const wakes = await wakeParked(fleet, agents, scale.wakes)
    return { agents: scale.agents, ...rates, wakes, kiBPerAgent: ((residentMiB(fleet.pid) - emptyMiB) * 1024) / scale.agents }
  } finally {
    for (const agent of agents) agent.close()
    await fleet.remove()
  }
}

/** Rounds of ours, bare Fastify and bare SQLite, one after another, so that a busy moment of the machine hits all of them alike. */
async function compare(agents: readonly BenchAgent[], fleet: BenchFleet, scale: Scale) {
  const directory = await temporaryDirectory('bench-syncs')
  const answer = JSON.stringify(await agents[0]?.sync({ facts: true, waitMs: 0 }))
  const peers = join(import.meta.dirname, 'peers')
  const fastify = startProgram([process.execPath, join(peers, 'bare-fastify.js'), String(answer.length)])
  const sqlite = startProgram([process.execPath, join(peers, 'bare-sqlite.js'), join(directory.path, 'bare.db'), rowBytes, group])
  const port = Number(await fastify.line())
  const bare = fleet.hosts.slice(0, bareConnections).map((host) => new BenchAgent(host, port))
  const rates = { ours: [] as number[], fastify: [] as number[], sqlite: [] as number[], oursUs: [] as number[], fastifyUs: [] as number[] }
  async function load(pid: number, ofAgents: readonly BenchAgent[]) {
    const before = cpuMs(pid)
    const { done, perSecond } = await loadWith(ofAgents, { atOnce, ms: scale.roundMs }, (agent) => agent.sync({ facts: true, waitMs: 0 }))
    return { perSecond, us: ((cpuMs(pid) - before) * 1000) / done }
  }
  try {
    for (let round = 0; round < scale.rounds; round += 1) {
      const ours = await load(fleet.pid, agents)
      const theirs = await load(fastify.pid, bare)
      rates.ours.push(ours.perSecond)
      rates.oursUs.push(ours.us)
      rates.fastify.push(theirs.perSecond)
      rates.fastifyUs.push(theirs.us)
      sqlite.say(String(scale.roundMs))
      rates.sqlite.push(Number(await sqlite.line()))
      say(
        `round ${round + 1}: ${Object.values(rates)
          .map((one) => figure(one.at(-1) ?? 0))
          .join(' · ')}`,
      )
    }
    return rates
  } finally {
    for (const agent of bare) agent.close()
    await fastify.stop()
    await sqlite.stop()
    await directory.remove()
  }
}

/** Parks a poll of every agent, cordons one host after another over the API, and times each from the request to the answer of its poll. */
async function wakeParked(fleet: BenchFleet, agents: readonly BenchAgent[], count: number): Promise<readonly number[]> {
  const awaited = new Map<string, (at: number) => void>()
  const polls = parkPolls(agents, (hostId) => awaited.get(hostId)?.(performance.now()))
  const times: number[] = []
  const woken = Array.from({ length: warmUps + count }, (_, number) => (number * 7919) % agents.length)
  for (const agent of woken.flatMap((index) => agents.slice(index, index + 1))) {
    const path = `/hosts/${agent.host.id}`
    const { generation, schedulable } = await fleet.api.get<{ generation: number; schedulable: { kind: string } }>(path)
    const [change, body] = schedulable.kind === 'open' ? ['cordon', { reason: 'bench' }] : ['uncordon', {}]
    const answered = new Promise<number>((resolve) => awaited.set(agent.host.id, resolve))
    const startedAt = performance.now()
    await fleet.api.post(`${path}/${change}`, body, { 'if-match': `"${generation}"` })
    times.push((await Promise.race([answered, polls.over.then(() => Number.NaN)])) - startedAt)
  }
  polls.stop()
  return times.slice(warmUps)
}

async function run({ quick }: BenchOptions): Promise<Report> {
  const scales: readonly Scale[] = quick
    ? [{ agents: 20, rounds: 2, roundMs: 200, wakes: 5 }]
    : [
        { agents: 1000, rounds: 5, roundMs: 4000, wakes: 500 },
        { agents: 10_000, rounds: 5, roundMs: 4000, wakes: 500 },
      ]
  const all: Measured[] = []
  for (const scale of scales) all.push(await measure(scale))
  return {
    name: 'syncs',
    columns: [
      'agents',
      'durable syncs/s',
      'bare Fastify/s',
      'of Fastify',
      'bare SQLite rows/s',
      'of SQLite',
      'CPU µs per sync',
      'of Fastify’s',
      'wake p50 ms',
      'wake p99 ms',
      'KiB per agent',
    ],
    rows: all.map((one) => [
      figure(one.agents),
      spread(one.ours),
      spread(one.fastify),
      spread(ratios(one.ours, one.fastify)),
      spread(one.sqlite),
      spread(ratios(one.ours, one.sqlite)),
      spread(one.oursUs),
      spread(ratios(one.oursUs, one.fastifyUs)),
      figure(median(one.wakes)),
      figure(percentile(one.wakes, 0.99)),
      figure(one.kiBPerAgent),
    ]),
    aims: all.map(({ agents, ours, fastify }) =>
      atLeast(`${figure(agents)} agents: ≥ ${ofFastify} × bare Fastify`, {
        value: median(ratios(ours, fastify)),
        limit: ofFastify,
        unit: '×',
      }),
    ),
    notes: [
      `${atOnce} requests under way at once; each sync carries whole facts that changed and is committed (WAL, synchronous=FULL) before its answer.`,
      `Bare Fastify reads the same body and answers as many bytes, on ${figure(bareConnections)} connections at most; bare SQLite replaces rows of the same size in the process, 100 per commit, without a network.`,
      'A wake is the whole way: a cordon is asked for over the API, recorded, and the parked poll of that host is answered, while every agent has one parked.',
      'The load generator runs on the same cores.',
    ],
  }
}

await benchmark(run)
