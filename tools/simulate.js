// `npm run simulate`: seeds of simulated fleets, in as many processes as there are cores. It goes on where it was interrupted, keeps figures per commit in
// reports/simulate-progress.json, and writes what breaks, made small, into test/simulate/regressions. `--replay` plays one seed or script again.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { endOnSignals, root, table } from './run.js'
import { inProcesses } from './simulate-processes.js'
import { blockOf, faultsOf, noResult, seedsLeft, summaryRows, withResult, withScript } from './simulate-progress.js'

const help = `Searches simulated fleets for broken promises.

  npm run simulate -- --seeds 1400 --hours 24              seeds 1 to 1400, a day of 30 hosts each
  npm run simulate -- --seeds 50 --hours 2 --hosts 6 --from 100
  npm run simulate -- --seeds 1400 --hours 24 --again      forgets what was found so far
  npm run simulate -- --replay 17 --hours 24               seed 17 again, with the end of its journal
  npm run simulate -- --replay test/simulate/regressions/x.yaml --lines 200 --log

  --jobs N        processes at once; one per core
  --max-runs N    runs to make a failing one small; 400. 0: it is left as it is
  --stop-after N  takes no more seeds when so many broke; 10`

const progressFile = join(root, 'reports', 'simulate-progress.json')
const regressions = join(root, 'test', 'simulate', 'regressions')

function refuse(message) {
  console.error(message)
  process.exit(2)
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '20' },
      hours: { type: 'string', default: '24' },
      hosts: { type: 'string', default: '30' },
      from: { type: 'string', default: '1' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      'max-runs': { type: 'string', default: '400' },
      'stop-after': { type: 'string', default: '10' },
      lines: { type: 'string', default: '60' },
      replay: { type: 'string' },
      again: { type: 'boolean', default: false },
      log: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(help)
    process.exit(0)
  }
  function number(name, least) {
    const value = Number(values[name])
    if (value >= least && (name === 'hours' || Number.isInteger(value))) return value
    return refuse(`--${name} takes a number of at least ${least}, not "${values[name]}"`)
  }
  return {
    ...values,
    count: number('seeds', 1),
    hours: number('hours', 0.1),
    hosts: number('hosts', 1),
    from: number('from', 0),
    jobs: number('jobs', 1),
    maxRuns: number('max-runs', 0),
    stopAfter: number('stop-after', 1),
    lines: number('lines', 0),
  }
}

/** The commit that is run; with a mark for what is not committed, so that other code never counts for the same. */
function commitNow() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const head = git('rev-parse', '--short=10', 'HEAD')
  const changes = git('diff', 'HEAD', '--', 'src', 'package-lock.json') + git('status', '--porcelain', '--', 'src')
  return changes === '' ? head : `${head}+${createHash('sha256').update(changes).digest('hex').slice(0, 6)}`
}

function readBlocks() {
  return existsSync(progressFile) ? JSON.parse(readFileSync(progressFile, 'utf8')).blocks : []
}

/** Written whole beside the old one and put in its place, so that a kill leaves one or the other. */
function writeWhole(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

/** Counts what comes in, and keeps it after each change. */
function openBook(wanted, again) {
  const opened = blockOf(again ? [] : readBlocks(), wanted)
  const { index } = opened
  let { blocks } = opened
  let since = performance.now()
  function change(alter) {
    const now = performance.now()
    const altered = alter(blocks[index])
    blocks = blocks.with(index, { ...altered, wallS: altered.wallS + (now - since) / 1000 })
    since = now
    writeWhole(progressFile, `${JSON.stringify({ blocks }, null, 2)}\n`)
  }
  return { change, blocks: () => blocks, left: seedsLeft(blocks, wanted) }
}

function scriptFile(seed, property) {
  const words = property.toLowerCase().match(/[a-z0-9]+/g) ?? []
  return join(regressions, `seed-${seed}-${words.join('-')}.yaml`)
}

async function search(options) {
  const { count, hours, hosts, from, maxRuns } = options
  const commit = commitNow()
  const book = openBook({ commit, count, hours, hosts, from, node: process.versions.node, at: new Date().toISOString() }, options.again)
  const seeds = [...book.left]
  const all = seeds.length
  let [ran, broken] = [0, 0]

  function ranSeed(seed, result) {
    const { violation, jobs, cpuS } = result
    ran += 1
    broken += violation === null ? 0 : 1
    book.change((block) => withResult(block, { seed, ...result }))
    const how = violation === null ? `good, ${jobs.accepted} jobs` : `BROKEN: ${violation.property}: ${violation.problem}`
    console.log(`${ran}/${all}  seed ${seed}: ${how}, ${cpuS.toFixed(0)} s`)
  }

  const hear = {
    ran: (seed, { result }) => ranSeed(seed, result),
    ended: (seed, { how }) => {
      // A process that ends while it makes a run smaller has told of it already.
      const isTold = book.blocks().some((block) => block.commit === commit && block.violations.some((each) => each.seed === seed))
      const violation = { property: 'the simulation goes through', problem: `its process ${how}`, at: 0 }
      if (isTold) console.log(`seed ${seed}: its process ${how} before it was small`)
      else ranSeed(seed, { ...noResult, violation })
    },
    shrinking: (seed, { runs, left }) => {
      if (runs % 20 === 0) console.log(`seed ${seed}: after ${runs} runs ${left}`)
    },
    shrunk: (seed, { property, script }) => {
      const file = scriptFile(seed, property)
      writeWhole(file, script)
      book.change((block) => withScript(block, seed, relative(root, file)))
      console.log(`seed ${seed}: ${relative(root, file)}\n${script}`)
    },
  }

  console.log(`${commit}: ${all} of ${count} seeds to run, ${hours} h of ${hosts} hosts each, ${options.jobs} at once`)
  await inProcesses(Math.min(options.jobs, all), {
    task: { hours, hosts, maxRuns, commit },
    nextSeed: () => (broken >= options.stopAfter ? null : (seeds.shift() ?? null)),
    heard: (message, seed) => hear[message.kind](seed, message),
  })
  printSummary(book.blocks())
  if (seeds.length > 0) console.log(`${seeds.length} seeds were not run: ${broken} broke before`)
  console.log(`${ran - broken} passed, ${broken} failed`)
  return broken === 0
}

function printSummary(blocks) {
  const faults = Object.entries(faultsOf(blocks)).sort(([, one], [, other]) => other - one)
  console.log(`\n${table(summaryRows(blocks))}\n`)
  console.log(`${table([['fault', 'begun'], ...faults.map(([kind, begun]) => [kind, begun.toLocaleString('en')])])}\n`)
  for (const { commit, violations } of blocks)
    for (const { seed, property, problem, script } of violations)
      console.log(`${commit}, seed ${seed}: ${property}: ${problem}${script === null ? '' : ` (${script})`}`)
}

async function play(options) {
  const { replay } = await import('./simulate-replay.js')
  return replay(options.replay, options)
}

endOnSignals()
const options = readOptions()
process.exitCode = (await (options.replay === undefined ? search(options) : play(options))) ? 0 : 1
