import { Document, isMap, isSeq, type Node } from 'yaml'
import type { z } from 'zod'
import type { InputProblem } from '../model/errors.ts'
import { didYouMean } from '../model/input-problems.ts'
import { formatDuration, parseDuration } from '../model/instant.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import { readYaml, type YamlForm } from '../observe/typed-yaml.ts'
import { clock } from './chronicle.ts'
import { faultKinds } from './faults/registry.ts'
import { Scenario, ScenarioEngine, ScenarioHost, ScenarioJob } from './scenario.ts'
import { targetsOf } from './targets.ts'

/**
 * Reads the script of a scenario. Throws INVALID_INPUT that names file, line, field and what would be accepted.
 *
 * @example readScript('seed: 1\n…faults:\n  - { kind: powerLos, … }', 'x.yaml') // x.yaml:9:7: faults[0].kind: there is no fault "powerLos"; …
 */
export function readScript(source: string, file: string): Scenario {
  const scenario = readYaml(form, source, file)
  readSpecFile(scenario.spec, `the spec in ${file}`)
  return scenario
}

const form: YamlForm<Scenario> = {
  schema: Scenario,
  what: 'the script',
  hint: 'docs/simulation.md names the kinds of faults and their fields',
  before: unknownKinds,
  after: unknownNames,
}

/** A schema of many kinds would complain about the fields of some other kind. */
function unknownKinds(raw: unknown): readonly InputProblem[] {
  const faults = (raw as { readonly faults?: unknown }).faults
  if (!Array.isArray(faults)) return []
  const accepted = faultKinds.map(({ kind }) => kind)
  return faults.flatMap((fault: unknown, index) => {
    const kind = (fault as { readonly kind?: unknown } | null)?.kind
    if (accepted.includes(String(kind))) return []
    const text = typeof kind === 'string' ? kind : ''
    return [{ path: `faults[${index}].kind`, message: `there is no fault "${text}"${didYouMean(text, accepted)}`, accepted }]
  })
}

function unknownNames({ hosts, faults, controllers, jobs }: Scenario): readonly InputProblem[] {
  const names = [...hosts.map(({ name }) => name), ...Array.from({ length: controllers }, (_, index) => `controller-${index + 1}`)]
  const keys = jobs.map(({ key }) => key)
  return faults.flatMap((fault, index) =>
    targetsOf(fault).flatMap(({ field, kind, name }) => {
      const accepted = kind === 'job' ? keys : names
      if (accepted.includes(name)) return []
      return [{ path: `faults[${index}].${field}`, message: `there is no ${kind} "${name}"${didYouMean(name, accepted)}` }]
    }),
  )
}

/** Writes a scenario as a script that people can read; `about` goes above it as a comment. What has its usual value is left out. */
export function writeScript(scenario: Scenario, about: string): string {
  const plain = {
    ...lean(Scenario, scenario),
    hosts: scenario.hosts.map((host) => ({
      ...lean(ScenarioHost, host),
      engines: host.engines.map((engine) => lean(ScenarioEngine, engine)),
    })),
    jobs: scenario.jobs.map((job) => lean(ScenarioJob, job)),
  }
  const document = new Document(plain, (name: unknown, value: unknown) => timeText(String(name), value))
  document.commentBefore = about
    .split('\n')
    .map((line) => ` ${line}`)
    .join('\n')
  for (const name of ['hosts', 'jobs', 'faults']) {
    const list = document.get(name)
    if (isSeq(list)) for (const item of list.items) inOneLine(item as Node)
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: true })
}

/** Fields that hold a time; `90s` says more than 90000. */
const times: ReadonlySet<string> = new Set(['durationMs', 'calmMs', 'runsMs', 'for', 'downMs', 'backAfter', 'deadlineMs'])

function timeText(name: string, value: unknown): unknown {
  if (!times.has(name) || typeof value !== 'number') return value
  const text = formatDuration(value)
  return parseDuration(text) === value ? text : value
}

/** Most of a script is lists of like things: a line each, with its moment for the reader. */
function inOneLine(item: Node): void {
  if (!isMap(item)) return
  item.flow = true
  const at = item.get('at')
  if (typeof at === 'number') item.comment = ` ${clock(at)}`
}

/** An object without the fields that it would get anyway. */
function lean<T extends object>(schema: z.ZodType<T>, value: T): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).filter(([name, given]) => {
      const { [name as keyof T]: _left, ...rest } = value
      const filled = schema.safeParse(rest)
      return !filled.success || JSON.stringify(filled.data[name as keyof T]) !== JSON.stringify(given)
    }),
  )
}
