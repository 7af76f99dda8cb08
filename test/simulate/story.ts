import { parse } from 'yaml'
import { z } from 'zod'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { parseDuration, type Milliseconds } from '../../src/model/instant.ts'
import { hostOf, jobOf, type HostRow, type JobRow } from '../../src/record/rows.ts'
import { outcomeWords } from '../../src/simulate/event-words.ts'
import type { Happening } from '../../src/simulate/happening.ts'
import { Scenario } from '../../src/simulate/scenario.ts'
import { simulate, type SimulationResult } from '../../src/simulate/simulate.ts'

const JobEnd = z.strictObject({
  /** As the journal says it: `exit code 0`. */
  ends: z.string(),
  /** Left out where it may be one more or less. */
  attempts: z.int().positive().optional(),
  /** Hosts of its attempts, in their order; where it does not matter: left out. */
  on: z.array(z.string()).optional(),
})
export type JobEnd = z.infer<typeof JobEnd>

/** What must hold of a story whatever its journal says, so that a journal that tells something else is not taken for right by mistake. */
const Expect = z.strictObject({
  /** By key; `job-*` stands for all whose key begins so and that have no entry of their own. */
  jobs: z.record(z.string(), JobEnd),
  /** State and schedulability at the end of hosts that are not `up, open`. */
  hosts: z.record(z.string(), z.string()).default({}),
  /** How many attempts these hosts got. */
  attemptsOn: z.record(z.string(), z.int().nonnegative()).default({}),
  /** Each is found in a line of the journal, in this order. */
  inOrder: z.array(z.string()).min(1),
  /** Found in no line. */
  never: z.array(z.string()).default([]),
  /** From the last fault, and the end of the time in which things are asked for. */
  restWithin: z.string(),
})
type Expect = z.infer<typeof Expect>

/** An incident of the field as a scenario, with what must come of it. */
export const Story = z.strictObject({ ...Scenario.shape, tells: z.string().min(20), expect: Expect })
export type Story = z.infer<typeof Story>

export function readStory(text: string): Story {
  return Story.parse(parse(text))
}

export interface Told {
  readonly result: SimulationResult
  /** The whole journal as it is kept, under what it tells of. */
  readonly journal: string
  readonly jobs: Readonly<Record<string, JobEnd>>
  /** `up, open` by name. */
  readonly hosts: Readonly<Record<string, string>>
  readonly attemptsOn: Readonly<Record<string, number>>
}

/** Runs a story, and keeps what its rows say at the end. */
export async function tellStory({ expect: _expected, tells, ...scenario }: Story): Promise<Told> {
  const keys = new Map<string, string>()
  const attempts = new Map<string, string[]>()
  let hosts: readonly HostRow[] = []
  let jobs: readonly JobRow[] = []

  function keep(happening: Happening): void {
    if (happening.kind === 'accepted') keys.set(happening.job, happening.key)
    if (happening.kind !== 'committed') return
    for (const { kind, subject, data } of happening.events) {
      if (kind !== 'job.assigned') continue
      const job = subject.slice('job/'.length)
      attempts.set(job, [...(attempts.get(job) ?? []), String(data['host'])])
    }
    if (happening.events.length === 0) return
    hosts = happening.look('select * from hosts order by name') as HostRow[]
    jobs = happening.look('select * from jobs order by id') as JobRow[]
  }

  const result = await simulate(scenario, { drivers: simulationDrivers(), keepLines: 100_000, onHappening: keep })
  const ends = jobs
    .map(jobOf)
    .map(({ id, outcome, attempts: count }): [string, JobEnd] => [
      keys.get(id) ?? id,
      { ends: outcome === null ? 'not over' : outcomeWords(outcome), attempts: count, on: attempts.get(id) ?? [] },
    ])
  const all = [...attempts.values()].flat()
  return {
    result,
    journal: `# ${tells}\n\n${result.journal.join('\n')}\n`,
    jobs: Object.fromEntries(ends),
    hosts: Object.fromEntries(hosts.map(hostOf).map(({ name, state, schedulable }) => [name, `${state}, ${schedulable.kind}`])),
    attemptsOn: Object.fromEntries(scenario.hosts.map(({ name }) => [name, all.filter((host) => host === name).length])),
  }
}

/** What a story expects and its run does not hold; each a sentence. */
export function broken({ expect: expected, ...scenario }: Story, told: Told): readonly string[] {
  const { violation, restMs } = told.result
  return [
    ...(violation === null ? [] : [`${violation.property}: ${violation.problem}`]),
    ...(restMs !== null && restMs <= limit(expected.restWithin)
      ? []
      : [restMs === null ? 'it did not come to rest' : `it came to rest after ${restMs} ms`]),
    ...wrongJobs(
      expected,
      scenario.jobs.map(({ key }) => key),
      told,
    ),
    ...scenario.hosts.flatMap(({ name }) => differs(`${name} is`, told.hosts[name], expected.hosts[name] ?? 'up, open')),
    ...Object.entries(expected.attemptsOn).flatMap(([name, count]) => differs(`attempts on ${name}:`, told.attemptsOn[name], count)),
    ...outOfOrder(expected.inOrder, told.result.journal),
    ...expected.never.flatMap((pattern) => {
      const line = told.result.journal.find((each) => new RegExp(pattern).test(each))
      return line === undefined ? [] : [`what must never be was: ${line}`]
    }),
  ]
}

function limit(text: string): Milliseconds {
  return parseDuration(text) ?? 0
}

function differs(what: string, is: unknown, shall: unknown): readonly string[] {
  return is === shall ? [] : [`${what} ${String(is)}, not ${String(shall)}`]
}

function wrongJobs({ jobs }: Expect, keys: readonly string[], told: Told): readonly string[] {
  return keys.flatMap((key) => {
    const shall = jobs[key] ?? Object.entries(jobs).find(([name]) => name.endsWith('*') && key.startsWith(name.slice(0, -1)))?.[1]
    const is = told.jobs[key]
    if (shall === undefined) return [`the story does not say how ${key} ends`]
    if (is === undefined) return [`${key} was never accepted`]
    return [
      ...differs(`${key} ended with`, is.ends, shall.ends),
      ...(shall.attempts === undefined ? [] : differs(`attempts of ${key}:`, is.attempts, shall.attempts)),
      ...(shall.on === undefined ? [] : differs(`${key} was on`, is.on?.join(), shall.on.join())),
    ]
  })
}

function outOfOrder(patterns: readonly string[], lines: readonly string[]): readonly string[] {
  let from = 0
  for (const pattern of patterns) {
    const found = lines.findIndex((line, index) => index >= from && new RegExp(pattern).test(line))
    if (found < 0) return [`no line from ${from + 1} on is like ${pattern}`]
    from = found + 1
  }
  return []
}
