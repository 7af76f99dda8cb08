import { formatDuration } from '../../model/instant.ts'
import type { HeldBack, Measured, ScenarioReport, SimulationReport, Spread } from '../../model/simulation.ts'
import { paint } from './style.ts'
import { renderTable } from './table.ts'
import type { Cell, Column } from './table.ts'
import { cleanText } from './text.ts'
import { absoluteTime } from './time.ts'

export interface SimulationOptions {
  readonly color: boolean
  readonly width: number | undefined
  readonly wide: boolean
}

interface Row {
  readonly head: string
  /** Shown of each scenario; the first one is beside it to compare with. */
  readonly of: (scenario: ScenarioReport, first: ScenarioReport) => string | Cell
}

/** What a simulation found, for people: scenarios side by side, and in words what the others change against the first. */
export function renderSimulation(report: SimulationReport, options: SimulationOptions): string {
  const { scenarios } = report
  const title = (text: string) => paint(text, 'strong', options.color)
  const legend = scenarios.map((one) => `  ${title(one.name)}  ${cleanText(one.title)}\n`).join('')
  const numbers = table(rowsOf(report), scenarios, options)
  const held = heldRows(scenarios)
  const reasons =
    held.length === 0
      ? ''
      : `\n${title('What held jobs back, in minutes times jobs')}\n${table(held, scenarios, options)}${reasonLines(scenarios, options)}`
  return `${headLine(report)}\n${legend}\n${numbers}${reasons}${answerLines(report)
    .map((line) => `\n${cleanText(line)}`)
    .join('')}\n`
}

function headLine({ trace, period }: SimulationReport): string {
  const leftOut = trace.leftOut.map(({ reason, count }) => `${count} left out: ${reason}`)
  const facts = [
    `${trace.jobs} jobs of ${trace.file} (${trace.format})`,
    `${absoluteTime(period.from)} to ${absoluteTime(period.to)}`,
    ...leftOut,
  ]
  return `${cleanText(facts.join(', '))}\n`
}

function rowsOf({ trace, scenarios }: SimulationReport): readonly Row[] {
  const wait = (head: string, read: (spread: Spread) => number): Row => ({
    head: `wait, ${head}`,
    of: ({ waitMs }, first) => compared(read(waitMs), read(first.waitMs), lengthText),
  })
  const { measured } = trace
  return [
    wait('mean', ({ mean }) => mean),
    wait('p50', ({ p50 }) => p50),
    wait('p90', ({ p90 }) => p90),
    wait('p95', ({ p95 }) => p95),
    wait('p99', ({ p99 }) => p99),
    ...(measured === null ? [] : [{ head: 'wait, mean, as it was', of: () => lengthText(measured.waitMs.mean) }]),
    { head: 'boot, mean', of: ({ bootMs }) => lengthText(bootMs.mean) },
    { head: 'utilisation', of: ({ utilisation }) => percent(utilisation) },
    ...(measured === null
      ? []
      : [{ head: 'utilisation, as it was', of: (scenario: ScenarioReport) => percent(utilisationThen(measured, scenario)) }]),
    { head: 'hosts', of: ({ pools }) => String(pools.reduce((sum, { hosts }) => sum + hosts, 0)) },
    { head: 'host-hours', of: ({ hostHours }, first) => compared(hostHours, first.hostHours, hoursText) },
    ...costRows(scenarios),
    { head: 'never started', of: ({ jobs }) => (jobs.neverStarted === 0 ? '0' : { text: String(jobs.neverStarted), tone: 'bad' }) },
    ...poolRows(scenarios),
    ...queueRows(scenarios),
  ]
}

/** What the slots of a scenario would have been used to, had it all gone as it did. */
function utilisationThen({ takenMs, periodMs }: Measured, { pools }: ScenarioReport): number {
  const slots = pools.reduce((sum, pool) => sum + pool.slots, 0)
  return takenMs / Math.max(1, slots * periodMs)
}

/** Only with a price. */
function costRows(scenarios: readonly ScenarioReport[]): readonly Row[] {
  if (scenarios.every(({ cost }) => cost === null)) return []
  return [
    { head: 'cost', of: ({ cost }, first) => compared(cost ?? 0, first.cost ?? 0, (amount) => amount.toFixed(2)) },
    { head: 'cost per job', of: ({ cost, jobs }) => ((cost ?? 0) / Math.max(1, jobs.total)).toFixed(3) },
  ]
}

/** Of several pools; what one has is what all have. */
function poolRows(scenarios: readonly ScenarioReport[]): readonly Row[] {
  const names = [...new Set(scenarios.flatMap(({ pools }) => pools.map(({ pool }) => pool)))]
  if (names.length < 2) return []
  return names.map((name) => ({
    head: `utilisation of ${name}`,
    of: ({ pools }) => {
      const pool = pools.find((one) => one.pool === name)
      return pool === undefined ? '-' : percent(pool.utilisation)
    },
  }))
}

/** Of several queues. */
function queueRows(scenarios: readonly ScenarioReport[]): readonly Row[] {
  const names = [...new Set(scenarios.flatMap(({ queues }) => queues.map(({ queue }) => queue)))]
  if (names.length < 2) return []
  const meanOf = (scenario: ScenarioReport, name: string) => scenario.queues.find(({ queue }) => queue === name)?.waitMs.mean ?? 0
  return names.map((name) => ({
    head: `wait, mean, queue ${name}`,
    of: (scenario, first) => compared(meanOf(scenario, name), meanOf(first, name), lengthText),
  }))
}

function heldRows(scenarios: readonly ScenarioReport[]): readonly Row[] {
  return heldCodes(scenarios).map((code) => ({
    head: code,
    of: ({ heldBack }, first) => compared(minutesOf(heldBack, code), minutesOf(first.heldBack, code), (minutes) => minutes.toFixed(0)),
  }))
}

function heldCodes(scenarios: readonly ScenarioReport[]): readonly HeldBack['code'][] {
  return [...new Set(scenarios.flatMap(({ heldBack }) => heldBack.map(({ code }) => code)))]
}

function minutesOf(heldBack: readonly HeldBack[], code: HeldBack['code']): number {
  return heldBack.find((one) => one.code === code)?.jobMinutes ?? 0
}

/** What each code says, in the words of the first scenario that has it, and what would help. */
function reasonLines(scenarios: readonly ScenarioReport[], { color }: SimulationOptions): string {
  return heldCodes(scenarios)
    .map((code) => scenarios.flatMap(({ heldBack }) => heldBack.filter((one) => one.code === code))[0])
    .map((held) =>
      held === undefined
        ? ''
        : `  ○ ${held.code}: ${cleanText(held.message)}\n    ${paint(`next: ${cleanText(held.cure)}`, 'dim', color)}\n`,
    )
    .join('')
}

function table(rows: readonly Row[], scenarios: readonly ScenarioReport[], options: SimulationOptions): string {
  const [first] = scenarios
  const columns = scenarios.map((scenario): Column<Row> => ({
    head: scenario.name,
    align: 'right',
    cell: (row) => row.of(scenario, first ?? scenario),
  }))
  return renderTable(rows, [{ head: '', cell: ({ head }) => head }, ...columns], options)
}

/** A number with how it differs from the first scenario's. */
function compared(value: number, first: number, write: (value: number) => string): Cell {
  const text = write(value)
  const change = changeText(value, first)
  return { text: change === '' ? text : `${text} (${change})`, tone: 'plain' }
}

function changeText(value: number, first: number): string {
  if (first === 0 || value === first) return ''
  const change = Math.round((value / first - 1) * 100)
  return change === 0 ? '' : `${change > 0 ? '+' : '−'}${Math.abs(change)}%`
}

function lengthText(ms: number): string {
  return formatDuration(ms)
}

function hoursText(hours: number): string {
  return hours.toFixed(hours < 10 ? 1 : 0)
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`
}

/** One sentence per further scenario: what it does to the wait, and what it costs. */
function answerLines({ scenarios }: SimulationReport): readonly string[] {
  const [first, ...others] = scenarios
  if (first === undefined) return []
  return others.map((other) => {
    const saved = first.waitMs.mean - other.waitMs.mean
    const share = first.waitMs.mean === 0 ? 0 : Math.round((Math.abs(saved) / first.waitMs.mean) * 100)
    const wait = share === 0 ? 'jobs wait as long as' : `jobs wait ${share}% ${saved > 0 ? 'less' : 'longer'} than`
    return `${other.name}: ${wait} in ${first.name} on average (${lengthText(other.waitMs.mean)}), ${costText(first, other)}.`
  })
}

function costText(first: ScenarioReport, other: ScenarioReport): string {
  const hours = other.hostHours - first.hostHours
  if (hours === 0) return 'for the same host-hours'
  const amount = first.cost === null || other.cost === null ? '' : ` (${Math.abs(other.cost - first.cost).toFixed(2)})`
  return `for ${hoursText(Math.abs(hours))} host-hours${amount} ${hours > 0 ? 'more' : 'less'}`
}
