// `npm test`: every suite on real components, one after another. The last line says how many tests passed and failed.
// `npm test -- engine cli` runs only those suites.
import { randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureComponents } from './install-components.js'
import { leftSince, processesWith, survey } from './leftovers.js'
import { dropResult, readResult, resultFile } from './results.js'
import { endOnSignals, root, run, table } from './run.js'
import { suites } from './suites.js'

const limitMinutes = 82
const mark = `CIDERY_TEST_RUN=${randomUUID()}`
const strict = ['1', 'true'].includes(process.env.CI ?? '')

/** Everything that the tests put into the temporary folder goes when the run ends, however it ends. */
function makeTemporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'cidery-test-'))
  // Accounts that a test makes must be able to walk through; what lies in it has its own rights.
  chmodSync(folder, 0o755)
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

/** Why a suite cannot run here: `{ why, fails }`, or undefined when it can. */
function obstacle(suite, missing) {
  if (![undefined, 'any', process.platform].includes(suite.platform)) return { why: `needs ${suite.platform}`, fails: false }
  const reasons = (suite.needs ?? []).map((name) => missing.get(name)).filter(Boolean)
  if (suite.root === true && process.getuid() !== 0) reasons.push('needs root')
  return reasons.length > 0 ? { why: reasons.join('; '), fails: strict } : undefined
}

function argvOf(suite) {
  if (suite.command !== undefined) return suite.command
  const file = resultFile(root, suite.name)
  return ['vitest', 'run', '--project', suite.name, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
}

/** Counts what a command said in its last line; one that says nothing counts as one test. */
function countCommand({ code, output }) {
  const last = output.trimEnd().split('\n').at(-1) ?? ''
  const counts = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last)
  if (counts === null) return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0, tests: [], broken: [] }
  return { passed: Number(counts[1]), failed: Number(counts[2]), skipped: Number(counts[3] ?? 0), tests: [], broken: [] }
}

/** What a suite wants done before it starts; what went wrong with it as a list of faults. */
async function prepare(suite, env) {
  if (suite.first === undefined) return []
  const { code, output } = await run(suite.first, { env })
  if (code === 0) return []
  console.log(output.trimEnd())
  return [`${suite.first.join(' ')} ended with ${code}`]
}

/** What ends a moment after its suite (a watchdog that removes its folder, a kernel that takes an interface down) is waited for. */
const graceMs = 15_000

async function settle(look) {
  const end = Date.now() + graceMs
  let left = look()
  while (left.length > 0 && Date.now() < end) {
    await sleep(200)
    left = look()
  }
  return left
}

/** Processes that outlived their suite are ended and held against it. */
async function endStragglers() {
  const left = await settle(() => processesWith(mark))
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself in the meantime.
    }
  }
  return left.map(({ pid, command }) => `process ${pid} (${command.slice(0, 120)}) outlived the suite`)
}

function lastWords(output) {
  const lines = output.split('\n').map((line) => line.trim())
  return lines.filter(Boolean).slice(-3).join(' / ').slice(-500)
}

/** What is wrong with a run beyond its failed tests. */
function faultsOf(suite, ended, counts) {
  const faults = []
  if (ended.timedOut) faults.push(`was stopped after ${suite.minutes} minutes; its last words: ${lastWords(ended.output)}`)
  if (counts === undefined) faults.push(`ended with ${ended.signal ?? ended.code} and left no report`)
  else if (counts.passed + counts.failed + counts.skipped === 0) faults.push('ran no test')
  else if (ended.code !== 0 && counts.failed + counts.broken.length === 0) faults.push(`ended with ${ended.signal ?? ended.code}`)
  for (const file of counts?.broken ?? []) faults.push(`could not load ${file}`)
  return faults
}

async function runSuite(suite, temporary) {
  console.log(`\n━━ ${suite.name}`)
  dropResult(root, suite.name)
  const before = survey()
  const [name, value] = mark.split('=')
  const env = { [name]: value, TMPDIR: temporary, NO_COLOR: '1' }
  const faults = await prepare(suite, env)
  const ended = await run(argvOf(suite), { echo: true, env, timeoutMs: (suite.minutes ?? 10) * 60_000 })
  const counts = suite.command === undefined ? readResult(resultFile(root, suite.name)) : countCommand(ended)
  faults.push(...faultsOf(suite, ended, counts), ...(await endStragglers()))
  const left = (await settle(() => leftSince(before))).map((thing) => `left behind: ${thing}`)
  // On a machine with other users somebody else may have made it; on a build machine nobody else is there.
  if (strict) faults.push(...left)
  else for (const line of left) console.log(`${suite.name} ${line}`)
  return { suite, ...(counts ?? { passed: 0, failed: 0, skipped: 0, tests: [] }), faults, minutes: ended.seconds / 60 }
}

function choose(names) {
  const known = suites.map((suite) => suite.name)
  const unknown = names.find((name) => !known.includes(name))
  if (unknown !== undefined) {
    console.error(`There is no suite "${unknown}". Suites: ${known.join(', ')}`)
    process.exit(2)
  }
  return names.length === 0 ? suites : suites.filter((suite) => names.includes(suite.name))
}

function printSummary(results, notRun, minutes) {
  const rows = [['suite', 'passed', 'failed', 'skipped', 'minutes']]
  for (const result of results) {
    rows.push([result.suite.name, result.passed, result.failed + result.faults.length, result.skipped, result.minutes.toFixed(1)])
  }
  console.log(`\n${table([...rows, ['all', '', '', '', minutes.toFixed(1)]])}`)
  for (const { suite, why, fails } of notRun) console.log(`${suite.name} did not run: ${why}${fails ? ' (a failure, as CI is set)' : ''}`)
  for (const { suite, faults, tests } of results) {
    for (const fault of faults) console.log(`${suite.name}: ${fault}`)
    for (const test of tests) {
      if (test.status === 'failed') console.log(`failed: ${suite.name}: ${test.title}`)
      else if (test.status !== 'passed') console.log(`skipped: ${suite.name}: ${test.title}`)
    }
  }
  const left = readdirSync(temporary)
  if (left.length > 0) console.log(`left in the temporary folder, removed now: ${left.join(', ')}`)
  if (minutes > limitMinutes) console.log(`The run took ${minutes.toFixed(1)} minutes; ${limitMinutes} are allowed.`)
}

endOnSignals()
const startedAt = performance.now()
const temporary = makeTemporaryFolder()
const chosen = choose(process.argv.slice(2))
const here = chosen.filter((suite) => [undefined, 'any', process.platform].includes(suite.platform))
const missing = await ensureComponents([...new Set(here.flatMap((suite) => suite.needs ?? []))])
const results = []
const notRun = []
for (const suite of chosen) {
  const hindered = obstacle(suite, missing)
  if (hindered === undefined) results.push(await runSuite(suite, temporary))
  else notRun.push({ suite, ...hindered })
}
const minutes = (performance.now() - startedAt) / 60_000
printSummary(results, notRun, minutes)
if (chosen === suites) console.log((await run(['node', 'tools/requirements.js'])).output.trimEnd())
const sum = (count) => results.reduce((total, result) => total + count(result), 0)
const passed = sum((result) => result.passed)
const faults = sum((result) => result.faults.length) + notRun.filter(({ fails }) => fails).length + (minutes > limitMinutes ? 1 : 0)
const failed = sum((result) => result.failed) + faults + (results.length === 0 ? 1 : 0)
const skipped = sum((result) => result.skipped)
process.exitCode = failed > 0 ? 1 : 0
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
