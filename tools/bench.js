// `npm run bench`: every benchmark on real components, a table each, with the peers in the same run. `npm run bench -- syncs queue` runs only those,
// `--quick` tiny ones that only show that they work, `--write docs/benchmarks.md` puts the tables where the document has them.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir, totalmem, type } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { aimLines, markdown, putInto } from './bench-tables.js'
import { ensureComponents } from './install-components.js'
import { endOnSignals, root, run, table } from './run.js'

/**
 * Each is `bench/<name>.bench.ts`. `needs`: names from tools/components.js; `wants`: those without which it measures less; `peers`: it needs what
 * bench/peers/package.json names; `first`: an argv that must succeed before; `minutes`: when it is killed.
 */
const benches = [
  {
    name: 'overhead',
    title: 'Overhead of a job',
    needs: ['iproute', 'nftables', 'accounts'],
    wants: ['qemu', 'disk-tools', 'sshd'],
    minutes: 12,
  },
  { name: 'syncs', title: 'Syncs', minutes: 12 },
  { name: 'placement', title: 'One pass of deciding', minutes: 12 },
  { name: 'queue', title: 'Durable placements', needs: ['postgres'], wants: ['redis'], peers: true, minutes: 12 },
  { name: 'agent', title: 'An idle agent', needs: ['iproute', 'nftables', 'accounts'], minutes: 8 },
  {
    name: 'dashboard',
    title: 'The dashboard with 10,000 hosts',
    needs: ['chromium'],
    first: ['node', 'tools/build.js', '--web'],
    minutes: 12,
  },
  { name: 'simulation', title: 'A fleet in a box', minutes: 20 },
]

const help = `Runs the benchmarks, each beside its peers, and prints a table per benchmark.

  npm run bench                                       all of them, half an hour on an idle machine
  npm run bench -- syncs queue                        only those: ${benches.map(({ name }) => name).join(', ')}
  npm run bench -- --quick                            tiny sizes: shows that they work
  npm run bench -- --write docs/benchmarks.md         puts the tables into the document as well`

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, write: { type: 'string' }, help: { type: 'boolean', default: false } },
  })
  if (values.help) {
    console.log(help)
    process.exit(0)
  }
  const unknown = positionals.find((name) => !benches.some((bench) => bench.name === name))
  if (unknown !== undefined) refuse(`There is no benchmark "${unknown}". Benchmarks: ${benches.map(({ name }) => name).join(', ')}`)
  if (values.quick && values.write !== undefined)
    refuse('--quick measures nothing that is worth writing down: leave out --quick or --write')
  if (values.write !== undefined && !existsSync(values.write)) refuse(`There is no file ${values.write} to write into`)
  return { ...values, chosen: positionals.length === 0 ? benches : benches.filter(({ name }) => positionals.includes(name)) }
}

function refuse(message) {
  console.error(message)
  process.exit(2)
}

/** Installs the peers from their own lock file, once per content of it. */
async function installPeers() {
  const folder = join(root, 'bench', 'peers')
  const lock = join(folder, 'package-lock.json')
  const installed = join(folder, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  console.log('Installing the peers of the benchmarks')
  const { code, output } = await run(['npm', 'ci', '--no-audit', '--no-fund'], { cwd: folder, timeoutMs: 10 * 60_000 })
  if (code !== 0) throw new Error(`npm ci in bench/peers ended with ${code}:\n${output.trim()}`)
}

/** Runs one; gives its report, or a sentence that says why there is none. */
async function measure(bench, { quick, missing }) {
  const lacking = (bench.needs ?? []).map((name) => missing.get(name)).filter(Boolean)
  if (lacking.length > 0) return lacking.join('; ')
  if (bench.first !== undefined) {
    const { code, output } = await run(bench.first)
    if (code !== 0) return `${bench.first.join(' ')} ended with ${code}: ${output.trim().slice(-500)}`
  }
  const folder = mkdtempSync(join(tmpdir(), 'cidery-bench-'))
  const out = join(folder, 'report.json')
  try {
    const argv = ['node', join('bench', `${bench.name}.bench.ts`), '--out', out, ...(quick ? ['--quick'] : [])]
    const { code, timedOut, output } = await run(argv, { echo: true, timeoutMs: bench.minutes * 60_000 })
    if (timedOut) return `was stopped after ${bench.minutes} minutes`
    return code === 0 ? JSON.parse(readFileSync(out, 'utf8')) : `ended with ${code}: ${output.trim().slice(-500)}`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The machine and the moment, as a reader needs them to judge the figures. */
function circumstances(load) {
  const memory = `${Math.round(totalmem() / 1024 ** 3)} GiB`
  const system = existsSync('/etc/os-release') ? /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] : type()
  const machine = `${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${memory}, ${system}, Node ${process.versions.node}`
  return `${machine}; ${new Date().toISOString().slice(0, 10)}, load ${load.toFixed(1)} when it began`
}

endOnSignals()
const { chosen, quick, write: file } = options()
const missing = await ensureComponents([...new Set(chosen.flatMap(({ needs = [], wants = [] }) => [...needs, ...wants]))])
if (chosen.some(({ peers }) => peers === true)) await installPeers()
for (const bench of chosen) {
  console.log(`\n━━ ${bench.title} (${bench.name})`)
  const load = loadavg()[0] ?? 0
  const report = await measure(bench, { quick, missing })
  if (typeof report === 'string') {
    console.error(`${bench.name}: ${report}`)
    process.exitCode = 1
    continue
  }
  const where = circumstances(load)
  console.log([table([report.columns, ...report.rows]), ...aimLines(report), ...report.notes.map((note) => `· ${note}`), where].join('\n'))
  if (file !== undefined) writeFileSync(file, putInto(readFileSync(file, 'utf8'), report.name, markdown(report, where)))
}
if (file !== undefined) await run(['oxfmt', file])
