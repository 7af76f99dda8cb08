// `npm run check`: everything that can be said about the code without starting what it runs on. All steps run, also after a red one.
// `npm run check -- lint types` runs only those, `--without-tests` all but the tests.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { dropResult, resultFile } from './results.js'
import { endOnSignals, root, run, table } from './run.js'

/** Vitest on one suite, its report where `npm run requirements` finds it. */
function vitest(suite, ...more) {
  return ['vitest', 'run', '--project', suite, '--reporter=dot', '--reporter=json', `--outputFile.json=${resultFile(root, suite)}`, ...more]
}

// The longest first: the others fit in beside it.
const steps = [
  { name: 'tests', suite: 'unit', argv: vitest('unit', '--coverage') },
  { name: 'tests of the tools', suite: 'tooling', argv: vitest('tooling') },
  { name: 'lint', argv: ['oxlint', '--max-warnings', '0', '--report-unused-disable-directives'] },
  { name: 'types', argv: ['tsc', '-p', 'tsconfig.check.json'] },
  { name: 'types of the pure core', argv: ['tsc', '-p', 'tsconfig.pure.json'] },
  { name: 'types of the web', argv: ['tsc', '-p', 'web/tsconfig.json', '--noEmit'], when: 'web/tsconfig.json' },
  { name: 'types of recipes', argv: ['tsc', '-p', 'tsconfig.types.json', '--noEmit'] },
  { name: 'folder rules', argv: ['node', 'tools/check-deps.js'] },
  { name: 'dead code', argv: ['knip', '--no-progress', '--no-config-hints'] },
  { name: 'format', argv: ['oxfmt', '--check'] },
  { name: 'lock', argv: ['node', 'tools/check-lock.js'] },
  { name: 'requirements', argv: ['node', 'tools/requirements.js', '--check'] },
]

const timeoutMs = 10 * 60_000

async function runStep(step) {
  if (step.when !== undefined && !existsSync(join(root, step.when))) return { step, state: 'not there', seconds: 0, output: '' }
  if (step.suite !== undefined) dropResult(root, step.suite)
  const { code, output, seconds, timedOut } = await run(step.argv, { timeoutMs, env: { NO_COLOR: '1' } })
  const state = code === 0 ? 'ok' : timedOut ? 'too slow' : 'red'
  return { step, state, seconds, output }
}

/** Runs the steps side by side, as many at once as there are cores, and prints what a red one said as soon as it ends. */
async function runAll(chosen) {
  const results = []
  const waiting = [...chosen]
  async function worker() {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const result = await runStep(step)
      results.push(result)
      if (result.state !== 'ok' && result.state !== 'not there')
        console.log(`\n── ${step.name}: ${step.argv.join(' ')}\n${result.output.trim()}\n`)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, worker))
  return results
}

function choose(names, withoutTests) {
  const known = steps.map((step) => step.name)
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    console.error(`There is no step "${unknown[0]}". Steps: ${known.join(', ')}`)
    process.exit(2)
  }
  if (names.length > 0) return steps.filter((step) => names.includes(step.name))
  return withoutTests ? steps.filter((step) => step.suite === undefined) : steps
}

endOnSignals()
const startedAt = performance.now()
const args = process.argv.slice(2)
const names = args.filter((arg) => !arg.startsWith('--'))
const chosen = choose(names, args.includes('--without-tests'))
const results = await runAll(chosen)
const inOrder = chosen.map((step) => results.find((result) => result.step === step))
const rows = inOrder.map(({ step, state, seconds }) => [step.name, state, `${seconds.toFixed(1)} s`])
console.log(table([['step', 'result', 'time'], ...rows, ['all', '', `${((performance.now() - startedAt) / 1000).toFixed(1)} s`]]))
const coverage = /Lines\s+:\s+[\d.]+%.*/.exec(inOrder.find(({ step }) => step.suite === 'unit')?.output ?? '')
if (coverage !== null) console.log(`coverage: ${coverage[0]}`)
const red = results.filter(({ state }) => state === 'red' || state === 'too slow')
if (red.length > 0)
  console.log(`Red: ${red.map(({ step }) => step.name).join(', ')}. To run one alone: npm run check -- "${red[0].step.name}"`)
process.exitCode = red.length > 0 ? 1 : 0
