import { CideryError } from '../../model/errors.ts'
import { didYouMean } from '../../model/input-problems.ts'
import type { SimulatedHosts, SimulationReport } from '../../model/simulation.ts'
import type { Spec } from '../../model/spec.ts'
import { readSpecFile } from '../../observe/spec-file.ts'
import { reportOf } from '../report/report.ts'
import { readTrace, refuseTrace } from '../trace/read-trace.ts'
import type { Trace } from '../trace/read-trace.ts'
import { deriveSpec } from './derive-spec.ts'
import { simulatedHosts } from './hosts.ts'
import type { HostOptions } from './hosts.ts'
import type { Replayed, ReplayScenario } from './replayed.ts'
import { changeHosts, changeSpec, readChanges } from './what-if.ts'

/** What a person asks for: a trace, and the scenarios to replay it in. */
export interface Comparison {
  readonly trace: { readonly file: string; readonly text: string; readonly format?: string | undefined }
  /** Each is a scenario; none: one that is made from the trace. */
  readonly specs: readonly SpecText[]
  /** Each is one more scenario: the first one with these changes. */
  readonly whatIf: readonly string[]
  readonly hosts: HostOptions
  /** Queues of the trace by the name that they have in the specs. */
  readonly queues: Readonly<Record<string, string>>
  readonly seed: number
}

interface SpecText {
  readonly file: string
  readonly source: string
}

export interface TitledScenario {
  readonly title: string
  readonly scenario: ReplayScenario
}

/** Replays a scenario; `ended` is called with how many jobs of it have ended. */
export type Replay = (scenario: ReplayScenario, ended: (count: number) => void) => Promise<Replayed>

/** Replays a trace in each scenario, beside each other, and counts what happened. `progress` is told how many jobs ended in all scenarios together. Throws INVALID_INPUT before anything is replayed. */
export async function compare(
  comparison: Comparison,
  replay: Replay,
  progress: (ended: number, total: number) => void,
): Promise<SimulationReport> {
  const trace = withQueues(readTrace(comparison.trace.text, comparison.trace), comparison.queues)
  if (trace.jobs.length === 0) {
    throw new CideryError('INVALID_INPUT', `no job of ${trace.file} can be replayed`, {
      hint: trace.leftOut.map(({ reason, count }) => `${count} ${reason}`).join(', '),
    })
  }
  const scenarios = scenariosOf(comparison, trace)
  const counts = scenarios.map(() => 0)
  const outcomes = await Promise.all(
    scenarios.map(async ({ title, scenario }, index) => {
      const replayed = await replay(scenario, (ended) => {
        counts[index] = ended
        progress(
          counts.reduce((sum, count) => sum + count, 0),
          counts.length * trace.jobs.length,
        )
      })
      return { title, scenario, replayed }
    }),
  )
  return reportOf(trace, outcomes)
}

function withQueues(trace: Trace, queues: Readonly<Record<string, string>>): Trace {
  const known = new Set(trace.jobs.map(({ queue }) => queue))
  const unknown = Object.keys(queues).find((queue) => !known.has(queue))
  if (unknown !== undefined) {
    throw new CideryError('INVALID_INPUT', `no job of ${trace.file} is of queue ${unknown}${didYouMean(unknown, [...known])}`, {
      hint: `its queues are ${[...known].sort().join(', ')}`,
    })
  }
  return { ...trace, jobs: trace.jobs.map((job) => ({ ...job, queue: queues[job.queue] ?? job.queue })) }
}

function scenariosOf(comparison: Comparison, trace: Trace): readonly TitledScenario[] {
  const { specs, whatIf, hosts: options, seed } = comparison
  const made = { file: 'a spec made from the trace', source: deriveSpec(trace.jobs) }
  const given = (specs.length === 0 ? [made] : specs).map((text) => {
    const spec = readSpec(text)
    checkTrace(trace, spec, text.file)
    const hosts = simulatedHosts(spec, trace.jobs, options)
    return { title: `${text.file}, ${hostsText(hosts)}`, text, scenario: { spec, source: text.source, hosts, jobs: trace.jobs, seed } }
  })
  const [first] = given
  if (first === undefined) return []
  const changed = whatIf.map((change): TitledScenario => {
    const changes = readChanges(change)
    const source = changeSpec(first.text.source, changes)
    const spec = readSpec({ file: `${first.text.file} with ${change}`, source })
    checkTrace(trace, spec, first.text.file)
    const counts = changeHosts(first.scenario.hosts, changes, Object.keys(spec.pools))
    const hosts = simulatedHosts(spec, trace.jobs, { ...options, hosts: counts })
    return { title: `A with ${change}`, scenario: { ...first.scenario, spec, source, hosts } }
  })
  return [...given, ...changed]
}

/** Reads a spec; its places are told as problems, not in the message. */
function readSpec({ file, source }: SpecText): Spec {
  try {
    return readSpecFile(source, file)
  } catch (error) {
    if (!(error instanceof CideryError) || error.problems === undefined) throw error
    throw new CideryError('INVALID_INPUT', `${file} is not accepted`, {
      problems: error.problems,
      hint: 'correct the places named',
      cause: error.cause,
    })
  }
}

function hostsText(hosts: readonly SimulatedHosts[]): string {
  const counted = (count: number) => `${count} host${count === 1 ? '' : 's'}`
  const [first, ...more] = hosts
  if (more.length === 0) return counted(first?.count ?? 0)
  return hosts.map(({ pool, count }, index) => `${index === 0 ? counted(count) : String(count)} of ${pool}`).join(', ')
}

/** Jobs that no controller with this spec would accept, with their places. */
function checkTrace(trace: Trace, spec: Spec, specFile: string): void {
  const problems = trace.jobs.flatMap((job) => {
    const at = { file: trace.file, line: job.line, column: 1 }
    const queue = missing(job.queue, Object.keys(spec.queues), { what: 'queue', specFile })
    if (queue !== undefined) return [{ ...at, path: 'queue', ...queue }]
    const image = job.image === null ? undefined : missing(job.image, Object.keys(spec.images), { what: 'image', specFile })
    return image === undefined ? [] : [{ ...at, path: 'image', ...image }]
  })
  refuseTrace(problems, trace.file)
}

function missing(
  name: string,
  names: readonly string[],
  { what, specFile }: { readonly what: string; readonly specFile: string },
): { readonly message: string; readonly accepted: readonly string[] } | undefined {
  if (names.includes(name)) return undefined
  return { message: `${specFile} has no ${what} "${name}"${didYouMean(name, names)}`, accepted: names }
}
