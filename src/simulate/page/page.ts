import { formatDuration } from '../../model/instant.ts'
import type { ScenarioReport, SimulationReport } from '../../model/simulation.ts'
import { figureHtml, seriesClass } from './chart.ts'
import { chartsOf } from './charts.ts'
import { escapeHtml } from './html.ts'
import { pageStyle } from './style.ts'

/** One page that needs nothing else: no script, no request, charts as SVG, light or dark as the reader's system is. */
export function simulationPage(report: SimulationReport): string {
  const { trace, period, scenarios } = report
  const title = `${trace.jobs} jobs of ${trace.file}, replayed`
  const moment = (at: number) => new Date(at).toISOString().slice(0, 16).replace('T', ' ')
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${pageStyle}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p class="quiet">${moment(period.from)} to ${moment(period.to)} UTC${escapeHtml(leftOutText(report))}. A simulation: a trace, the specs named below, and made-up hosts.</p>
<div class="cards">${scenarios.map((scenario, index) => cardHtml(scenario, index)).join('')}</div>
${chartsOf(report).map(figureHtml).join('\n')}
</main>
</body>
</html>
`
}

function leftOutText({ trace }: SimulationReport): string {
  return trace.leftOut.map(({ reason, count }) => `, ${count} left out: ${reason}`).join('')
}

function cardHtml(scenario: ScenarioReport, index: number): string {
  const { name, title, waitMs, utilisation, hostHours, cost, jobs } = scenario
  const facts = [
    ['wait, mean', formatDuration(waitMs.mean)],
    ['wait, p95', formatDuration(waitMs.p95)],
    ['utilisation', `${(utilisation * 100).toFixed(0)}%`],
    ['host-hours', hostHours.toFixed(0)],
    ...(cost === null ? [] : [['cost', cost.toFixed(2)]]),
    ...(jobs.neverStarted === 0 ? [] : [['never started', String(jobs.neverStarted)]]),
  ]
  const list = facts.map(([term = '', fact = '']) => `<div><dt>${escapeHtml(term)}</dt><dd>${escapeHtml(fact)}</dd></div>`).join('')
  return `<section class="card ${seriesClass(index)}" aria-label="Scenario ${name}"><h2>${name}</h2><p>${escapeHtml(title)}</p><dl>${list}</dl></section>`
}
