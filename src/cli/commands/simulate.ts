import { readFile, writeFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { SimulationReport } from '../../model/simulation.ts'
import type { Cli } from '../cli.ts'
import { command, exitCodes } from '../declare.ts'
import { printThing, say } from '../render/output.ts'
import { makeProgress } from '../render/progress.ts'
import { renderSimulation } from '../render/simulation.ts'
import { traceHead, traceJsonLine, traceLine } from '../render/trace.ts'
import { UsageError } from '../usage-error.ts'
import { integerOption, pairsOption } from '../values.ts'
import { readSpecFile } from './plan.ts'

interface SimulateOptions {
  readonly trace?: string
  readonly format?: string
  readonly spec?: readonly string[]
  readonly whatIf?: readonly string[]
  readonly hosts?: string
  readonly slots?: string
  readonly boot?: string
  readonly hostShape?: string
  readonly price?: string
  readonly queue?: readonly string[]
  readonly html?: string
  readonly sample?: string
  readonly seed?: string
}

const mostSampled = 100_000
/** A trace is held in memory. */
const largestTrace = 256 * 1_048_576

export const simulate = command<SimulateOptions>({
  name: 'simulate',
  summary: 'replay a day of jobs in virtual time and say how long they would wait, and what it would cost',
  examples: [
    ['cidery simulate --sample 800 > jobs.csv', 'a made-up working day to try it with'],
    ['cidery simulate --trace jobs.csv --hosts 20', 'how long jobs wait on twenty hosts'],
    [
      'cidery simulate --trace jobs.csv --hosts 20 --what-if hosts=+2 --what-if pools.default.engines.qemu.warm.app=1',
      'two more hosts, or one warm sandbox on each?',
    ],
    ['cidery simulate --trace jobs.csv --spec a.yaml --spec b.yaml --hosts mac=16,linux=4', 'two specs side by side'],
    ['cidery simulate --trace jobs.csv --hosts 20 --price 0.6 --html day.html', 'with what it costs, and charts in one page'],
    ['cidery job export --since 7d > jobs.csv', 'what your own fleet did, as a trace'],
  ],
  details:
    'The controller, the agents and the store are the real ones; only machines and time are simulated. A trace is CSV or JSON lines: an export of cidery, or jobs of Buildkite or GitHub Actions under the names of their APIs. No controller is asked.',
  options: [
    { flags: '--trace <file>', about: 'jobs to replay; - for standard input', completes: 'file' },
    {
      flags: '--format <format>',
      about: 'cidery, buildkite or github (default: what its columns say)',
      completes: ['cidery', 'buildkite', 'github'],
    },
    { flags: '--spec <file>', about: 'cidery.yaml to replay it under (default: one made from the trace)', many: true, completes: 'file' },
    {
      flags: '--what-if <change>',
      about:
        'one more scenario: the first with a change, hosts=+2 or a field of the spec (limits.holdAfter=5m); several with commas between',
      many: true,
    },
    { flags: '--hosts <count>', about: 'hosts, or of each pool: mac=16,linux=4 (default: those that the spec names)' },
    { flags: '--slots <count>', about: 'slots of an engine on a host where the spec does not say, or tart=2,user=6 (default: 2)' },
    {
      flags: '--boot <duration>',
      about: 'how long engines take to boot, or qemu=25s,tart=40s (default: as the trace measured; else user=300ms, qemu=2s, tart=30s)',
    },
    { flags: '--host-shape <shape>', about: 'what a host has (default: cpu=8,memory=16GiB,disk=500GiB)' },
    { flags: '--price <amount>', about: 'of a host in an hour, or mac=0.6,linux=0.1' },
    { flags: '--queue <from=to>', about: 'take jobs of one queue of the trace for those of another', many: true },
    { flags: '--html <file>', about: 'write a page with charts as well', completes: 'file' },
    { flags: '--sample <jobs>', about: 'print a made-up trace of so many jobs, and replay nothing' },
    { flags: '--seed <number>', about: 'of the sample and of the simulation; the same gives the same again (default: 1)' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const seed = integerOption('--seed', options.seed) ?? 1
    if (options.sample !== undefined) return printSample(cli, options.sample, seed)
    const report = await replay(cli, options, seed)
    if (options.html !== undefined) await writePage(cli, report, options.html)
    const { color } = cli.settings
    await printThing(cli, {
      value: report,
      name: best(report),
      text: () =>
        renderSimulation(report, { color, width: cli.stdout.isTTY ? cli.stdout.columns : undefined, wide: cli.settings.output === 'wide' }),
    })
    return exitCodes.ok
  },
})

async function printSample(cli: Cli, count: string, seed: number): Promise<number> {
  const jobs = integerOption('--sample', count) ?? 0
  if (jobs < 1 || jobs > mostSampled) throw new UsageError(`--sample must be from 1 to ${mostSampled}`)
  const { sampleJobs } = await import('../../main/cli-simulate.ts')
  const lines = sampleJobs(jobs, seed)
  const json = cli.settings.output === 'json'
  await cli.stdout.write(json ? '' : traceHead(false))
  await cli.stdout.write(lines.map((job) => (json ? traceJsonLine(job, false) : traceLine(job, false))).join(''))
  return exitCodes.ok
}

async function replay(cli: Cli, options: SimulateOptions, seed: number): Promise<SimulationReport> {
  if (options.trace === undefined) throw new UsageError('say which trace', 'cidery simulate --trace jobs.csv --hosts 20')
  const specs = []
  for (const file of options.spec ?? []) specs.push({ file: basename(file), source: await readSpecFile(cli, file) })
  const trace = { file: options.trace === '-' ? 'standard input' : basename(options.trace), text: await readTraceFile(cli, options.trace) }
  const { simulateCommand } = await import('../../main/cli-simulate.ts')
  const progress = makeProgress(cli)
  try {
    return await simulateCommand(
      {
        trace: { ...trace, format: options.format },
        specs,
        whatIf: options.whatIf ?? [],
        hosts: {
          hosts: options.hosts,
          slots: options.slots,
          boot: options.boot,
          hostShape: options.hostShape,
          price: options.price,
        },
        queues: pairsOption('--queue', options.queue) ?? {},
        seed,
      },
      // A line for each percent would fill a log.
      (message) => void (cli.stderr.isTTY && progress.say(message)),
    )
  } finally {
    await progress.clear()
  }
}

async function readTraceFile(cli: Cli, file: string): Promise<string> {
  if (file === '-') return Buffer.from(await cli.stdin.readAll(largestTrace)).toString('utf8')
  try {
    return await readFile(resolve(cli.cwd, file), 'utf8')
  } catch (cause) {
    throw new UsageError(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

async function writePage(cli: Cli, report: SimulationReport, file: string): Promise<void> {
  const { pageOf } = await import('../../main/cli-simulate.ts')
  try {
    await writeFile(resolve(cli.cwd, file), pageOf(report))
  } catch (cause) {
    throw new UsageError(`${file} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  await say(cli, `wrote ${file}`)
}

/** Where jobs wait least on average. */
function best({ scenarios }: SimulationReport): string {
  return [...scenarios].sort((one, other) => one.waitMs.mean - other.waitMs.mean)[0]?.name ?? ''
}
