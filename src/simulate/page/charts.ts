import { formatDuration } from '../../model/instant.ts'
import type { ScenarioReport, SimulationReport, Spread } from '../../model/simulation.ts'
import { barChart, barChartHeight, barLength } from './bar-chart.ts'
import type { BarGroup } from './bar-chart.ts'
import { inner, legendHtml } from './chart.ts'
import type { Chart } from './chart.ts'
import { lineChart } from './line-chart.ts'
import { momentTicks, scaleOf } from './scale.ts'

const shownPercentiles = ['mean', 'p50', 'p90', 'p95', 'p99'] as const satisfies readonly (keyof Spread)[]

/** Every chart of the page, in its order. */
export function chartsOf(report: SimulationReport): readonly Chart[] {
  return [waits(report), startedWithin(report), overTime(report, 'waiting'), overTime(report, 'busy'), ...heldBack(report)]
}

function names({ scenarios }: SimulationReport): readonly string[] {
  return scenarios.map(({ name, title }) => `${name}: ${title}`)
}

function listed(scenarios: readonly ScenarioReport[], of: (scenario: ScenarioReport) => string): string {
  return scenarios.map((scenario) => `${scenario.name} ${of(scenario)}`).join(', ')
}

function waits(report: SimulationReport): Chart {
  const { scenarios } = report
  const groups = shownPercentiles.map((head): BarGroup => ({
    head,
    bars: scenarios.map(({ name, waitMs }) => ({ name, value: waitMs[head], text: formatDuration(waitMs[head]) })),
  }))
  const most = Math.max(...scenarios.map(({ waitMs }) => waitMs.p99))
  return {
    id: 'waits',
    title: 'How long jobs wait',
    about: `From a job's coming to the start of its command. On average: ${listed(scenarios, ({ waitMs }) => formatDuration(waitMs.mean))}.`,
    height: barChartHeight(groups),
    drawing: barChart(groups, scaleOf(most, { length: barLength, unit: 'time' }), tickText),
    legend: legendHtml(names(report)),
    numbers: {
      caption: 'Wait by scenario',
      heads: ['wait', ...scenarios.map(({ name }) => name)],
      rows: shownPercentiles.map((head) => [head, ...scenarios.map(({ waitMs }) => formatDuration(waitMs[head]))]),
    },
  }
}

function tickText(ms: number): string {
  return ms === 0 ? '0' : formatDuration(ms)
}

/** Quantiles turned around: which share of the jobs had started after a time. */
function startedWithin(report: SimulationReport): Chart {
  const { scenarios } = report
  const x = scaleOf(Math.max(...scenarios.map(({ waitMs }) => waitMs.p99)), { length: inner.width, unit: 'time' })
  const y = scaleOf(100, { length: inner.height, unit: 'count' })
  const lines = scenarios.map(({ name, waitMs }) => ({
    name,
    points: waitMs.quantiles.flatMap((length, percent) => (length > x.top ? [] : [[x.at(length), percent] as const])),
  }))
  return {
    id: 'started-within',
    title: 'Share of jobs that have started after a time',
    about: `The further left and up a line runs, the better. Half of the jobs start within: ${listed(scenarios, ({ waitMs }) => formatDuration(waitMs.p50))}.`,
    drawing: lineChart({
      y,
      yText: (value) => `${value}%`,
      xLabels: x.ticks.map((tick) => [x.at(tick), tickText(tick)]),
      xTitle: 'wait',
      lines,
    }),
    legend: legendHtml(names(report)),
    numbers: {
      caption: 'Wait that so many jobs do not exceed',
      heads: ['share of jobs', ...scenarios.map(({ name }) => name)],
      rows: [10, 25, 50, 75, 90, 95, 99, 100].map((percent) => [
        `${percent}%`,
        ...scenarios.map(({ waitMs }) => formatDuration(waitMs.quantiles[percent] ?? 0)),
      ]),
    },
  }
}

const overTimeTexts = {
  waiting: { title: 'Jobs that wait', about: 'Jobs that have come and whose command has not started, averaged over each step. At most:' },
  busy: {
    title: 'Slots in use',
    about: 'Slots that jobs have taken, averaged over each step; the thin line is how many there are. At most:',
  },
} as const

function overTime(report: SimulationReport, kind: keyof typeof overTimeTexts): Chart {
  const { scenarios, period } = report
  const { title, about } = overTimeTexts[kind]
  const most = Math.max(1, ...scenarios.map(({ series }) => Math.max(...series[kind], kind === 'busy' ? series.slots : 0)))
  const y = scaleOf(most, { length: inner.height, unit: 'count' })
  const xAt = (at: number) => ((at - period.from) / Math.max(1, period.to - period.from)) * inner.width
  const stepMs = scenarios[0]?.series.stepMs ?? 1
  const middleOf = (index: number) => Math.min(period.to, period.from + (index + 0.5) * stepMs)
  const clock = (at: number) => new Date(at).toISOString().slice(11, 16)
  const everyTick = Math.max(1, Math.round((scenarios[0]?.series[kind].length ?? 1) / 24))
  return {
    id: kind,
    title,
    about: `${about} ${listed(scenarios, ({ series }) => Math.max(...series[kind]).toFixed(0))}.`,
    drawing: lineChart({
      y,
      yText: String,
      xLabels: momentTicks(period.from, period.to).map((at) => [xAt(at), clock(at)]),
      xTitle: 'time of day, UTC',
      lines: scenarios.map(({ name, series }) => ({
        name,
        points: series[kind].map((value, index) => [xAt(middleOf(index)), value] as const),
        ...(kind === 'busy' ? { limit: series.slots } : {}),
      })),
    }),
    legend: legendHtml(names(report)),
    numbers: {
      caption: `${title}, at some moments`,
      heads: ['UTC', ...scenarios.map(({ name }) => name)],
      rows: (scenarios[0]?.series[kind] ?? []).flatMap((_, index) =>
        index % everyTick === 0
          ? [[clock(period.from + index * stepMs), ...scenarios.map(({ series }) => (series[kind][index] ?? 0).toFixed(1))]]
          : [],
      ),
    },
  }
}

function heldBack(report: SimulationReport): readonly Chart[] {
  const { scenarios } = report
  const codes = [...new Set(scenarios.flatMap(({ heldBack }) => heldBack.map(({ code }) => code)))]
  if (codes.length === 0) return []
  const minutes = (scenario: ScenarioReport, code: string) => scenario.heldBack.find((one) => one.code === code)?.jobMinutes ?? 0
  const groups = codes.map((code): BarGroup => ({
    head: code,
    bars: scenarios.map((scenario) => ({
      name: scenario.name,
      value: minutes(scenario, code),
      text: `${minutes(scenario, code).toFixed(0)} min`,
    })),
  }))
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ value }) => value)))
  const told = codes.map((code) => scenarios.flatMap(({ heldBack }) => heldBack.filter((one) => one.code === code))[0])
  return [
    {
      id: 'held-back',
      title: 'What held jobs back',
      about: 'Jobs that waited for something, times minutes; a job may wait for several things at once.',
      height: barChartHeight(groups),
      drawing: barChart(groups, scaleOf(most, { length: barLength, unit: 'count' }), String),
      legend: legendHtml(names(report)),
      numbers: {
        caption: 'Minutes times jobs, and what it says',
        heads: ['reason', ...scenarios.map(({ name }) => name), 'says', 'what helps'],
        rows: codes.map((code, index) => [
          code,
          ...scenarios.map((scenario) => minutes(scenario, code).toFixed(0)),
          told[index]?.message ?? '',
          told[index]?.cure ?? '',
        ]),
      },
    },
  ]
}
