// `npm run simulate-mutants`: puts each known bad change of test/simulate/mutants into the real code and lets the simulation look for it, seed by seed.
// `-- NAME…` only those, `--seeds N` gives up after so many (0: hunts none), `--write docs/simulation-mutants.md` writes the table of all that were hunted so far.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { huntOf } from '../test/simulate/mutants/mutant.ts'
import { mutants } from '../test/simulate/mutants/registry.ts'
import { endOnSignals, root, run } from './run.js'

const resultFile = join(root, 'reports', 'simulate-mutants.json')

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seeds: { type: 'string', default: '20' }, write: { type: 'string' } },
  })
  const unknown = positionals.find((name) => !mutants.some((mutant) => mutant.name === name))
  if (unknown !== undefined) {
    console.error(`There is no mutant "${unknown}". Mutants:\n${mutants.map(({ name }) => `  ${name}`).join('\n')}`)
    process.exit(2)
  }
  return {
    ...values,
    seeds: Number(values.seeds),
    chosen: mutants.filter(({ name }) => positionals.length === 0 || positionals.includes(name)),
  }
}

/** Runs seeds over the code with some edits in it; throws when the program itself failed. */
async function ask(request) {
  const child = join('test', 'simulate', 'mutants', 'hunt.child.ts')
  const { code, timedOut, output } = await run(['node', child, JSON.stringify(request)], { timeoutMs: 10 * 60_000 })
  if (timedOut) throw new Error('it did not end within ten minutes')
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  if (code !== 0 || !line.startsWith('{')) throw new Error(`it ended with ${code}: ${output.trim().slice(-800)}`)
  return JSON.parse(line)
}

/** Hunts one; a seed that breaks without the change too says nothing, and the next one is tried. */
async function hunt(mutant, seeds) {
  const sum = { seedsRun: 0, virtualMs: 0, cpuMs: 0 }
  let verdict = `not found in ${seeds} seeds`
  while (sum.seedsRun < seeds) {
    const request = huntOf(
      mutant,
      Array.from({ length: seeds - sum.seedsRun }, (_, index) => sum.seedsRun + index + 1),
    )
    const answer = await ask(request)
    for (const name of Object.keys(sum)) sum[name] += answer[name]
    if (answer.seed === null) break
    const control = await ask({ ...request, edits: [], seeds: [answer.seed] })
    if (control.seed === null)
      return { ...answer, ...sum, verdict: answer.property === mutant.breaks ? 'found' : `found by another property: ${answer.property}` }
    verdict = `not found in ${seeds} seeds; seed ${answer.seed} breaks without the change too: ${control.property}: ${control.problem}`
  }
  return { seed: null, ...sum, verdict }
}

function readResults() {
  return existsSync(resultFile) ? JSON.parse(readFileSync(resultFile, 'utf8')) : {}
}

function keep(name, result) {
  mkdirSync(dirname(resultFile), { recursive: true })
  writeFileSync(resultFile, `${JSON.stringify({ ...readResults(), [name]: result }, null, 2)}\n`)
}

const hours = (ms) => (ms / 3_600_000).toFixed(1)
const seconds = (ms) => (ms / 1000).toFixed(1)

function document(results) {
  const rows = mutants.map((mutant) => {
    const found = results[mutant.name]
    const files = [...new Set(mutant.edits.map(({ file }) => `\`${file}\``))].join(', ')
    const figures =
      typeof found?.seed !== 'number'
        ? [found?.verdict ?? 'not hunted', '', '', '']
        : [`${found.property}: ${found.problem}`, found.seedsRun, hours(found.virtualMs), seconds(found.cpuMs)]
    return [mutant.name, files, mutant.why, ...figures]
  })
  const columns = ['change', 'in', 'why somebody might write it', 'what broke', 'seeds', 'virtual hours', 'CPU s']
  const lines = [columns, columns.map(() => '---'), ...rows].map(
    (cells) => `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`,
  )
  const commits = [...new Set(mutants.flatMap(({ name }) => results[name]?.commit ?? []))].join(', ')
  const alone = mutants.filter((mutant) => mutant.hunt.alone === true).map(({ name }) => `“${name}”`)
  return `# Known bad changes, and what finds them

Written by \`npm run simulate-mutants -- --write docs/simulation-mutants.md\` at ${commits}. Each line is a change to the real code that is put in, one at a
time, before a simulation runs; seeds 1, 2, 3 … are run until a property breaks. A find counts only when the same seed comes through without the change.
For ${alone.join(' and ')} only the property that they stand for is looked at: others see them as soon.

${lines.join('\n')}
`
}

endOnSignals()
const { chosen, seeds, write: file } = options()
const { output: commit } = await run(['git', 'rev-parse', '--short=10', 'HEAD'])
let missed = 0
for (const mutant of seeds === 0 ? [] : chosen) {
  const result = await hunt(mutant, seeds).catch((error) => ({ seed: null, verdict: error.message }))
  if (result.verdict !== 'found') missed += 1
  keep(mutant.name, { ...result, commit: commit.trim() })
  console.log(
    `${mutant.name}: ${result.verdict}${result.seed === null ? '' : ` (${result.problem}; ${result.seedsRun} seeds, ${hours(result.virtualMs)} h, ${seconds(result.cpuMs)} CPU s)`}`,
  )
}
if (file !== undefined) {
  writeFileSync(file, document(readResults()))
  await run(['oxfmt', file])
}
process.exitCode = missed > 0 ? 1 : 0
