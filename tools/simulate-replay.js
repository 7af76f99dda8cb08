import { existsSync, readFileSync } from 'node:fs'
import { drawScenario } from '../src/simulate/draw.ts'
import { readScript } from '../src/simulate/script.ts'
import { runScenario } from './simulate-worker.js'

/** Plays a seed, or the script of a file, and shows the end of its journal. False when something broke. */
export async function replay(what, { hours, hosts, lines, log }) {
  const isSeed = /^\d+$/.test(what)
  if (!isSeed && !existsSync(what)) throw new Error(`there is no script ${what}`)
  const scenario = isSeed ? drawScenario({ seed: Number(what), hours, hosts }) : readScript(readFileSync(what, 'utf8'), what)
  const logged = []
  const onLog = (at, level, ...said) => logged.push(`${minutes(at)}  ${level} ${said.map(textOf).join(' ')}`)
  const result = await runScenario(scenario, { keepLines: Math.max(1, lines), ...(log ? { onLog } : {}) })
  for (const line of [...(lines > 0 ? result.journal : []), ...logged.slice(-lines)]) console.log(line)
  if (result.error !== undefined) console.error(result.error)
  const { violation, hash, jobs, restMs, cpuS } = result
  console.log(`\n${scenario.name === '' ? what : scenario.name}\nhash ${hash}`)
  console.log(`${jobs.accepted} jobs accepted, ${jobs.ended} ended; ${cpuS.toFixed(1)} s of CPU`)
  if (restMs !== null) console.log(`at rest ${minutes(restMs)} after the last fault`)
  if (violation !== null) console.log(`BROKEN at ${minutes(violation.at)}: ${violation.property}: ${violation.problem}`)
  return violation === null
}

function minutes(ms) {
  return `${(ms / 60_000).toFixed(3)} min`
}

function textOf(said) {
  if (typeof said === 'string') return said
  return said === undefined ? '' : JSON.stringify(said, (_, value) => (value instanceof Error ? value.message : value))
}
