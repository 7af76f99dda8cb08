import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { fetchExampleSource } from './example-source.js'
import { ensureGoldenDisk } from './golden-disk/build.js'

const root = join(import.meta.dirname, '..')
const cidery = join(root, 'bin/cidery.js')
const readyDeadlineMs = 120_000

const { values } = parseArgs({
  options: {
    state: { type: 'string', default: join(root, '.cidery/try') },
    listen: { type: 'string', default: '127.0.0.1:7700' },
    engine: { type: 'string', default: 'user' },
    once: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(`Brings up a controller, a dashboard and an agent on this machine, and builds a real C program in a clean account,
or in a virtual machine of its own.

  npm run try                                  the dashboard stays until Ctrl-C
  npm run try -- --once                        ends after the build, with its exit code
  npm run try -- --engine qemu                 in a virtual machine (root on Linux with x64; makes its disk first, about a minute)
  npm run try -- --listen 127.0.0.1:8800       another port
  npm run try -- --state DIR                   another state directory (kept between runs)`)
  process.exit(0)
}

const engines = ['user', 'qemu']
if (!engines.includes(values.engine)) {
  console.error(`--engine ${values.engine}: one of ${engines.join(', ')}`)
  process.exit(2)
}

const withMachines = values.engine === 'qemu'
const asRoot = process.getuid?.() === 0

/** `nat` needs nftables; everything else that the user engine uses is part of a base system. */
function installWhatIsMissing() {
  if (process.platform !== 'linux' || !asRoot || !existsSync('/usr/bin/apt-get')) return
  if (existsSync('/usr/sbin/nft')) return
  say('installing nftables (the network of a job is its own)')
  const result = spawnSync('sh', ['-c', 'apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    timeout: 300_000,
  })
  if (result.status !== 0) say('nftables could not be installed: jobs run without a network of their own')
}

function buildDashboard() {
  if (existsSync(join(root, 'web/dist/index.html'))) return
  say('building the dashboard')
  const result = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn', '--config', join(root, 'web/vite.config.ts')],
    { stdio: ['ignore', 'inherit', 'inherit'], cwd: root },
  )
  if (result.status !== 0) throw new Error('the dashboard could not be built; the lines above say why')
}

function say(text) {
  process.stderr.write(`▸ ${text}\n`)
}

async function waitUntilReady(url, child) {
  const deadline = Date.now() + readyDeadlineMs
  let last = 'nothing answers'
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error('cidery up ended before it was ready; the lines above say why')
    try {
      const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2000) })
      if (answer.ok) return
      last = await answer.text()
    } catch (error) {
      last = error instanceof Error ? error.message : String(error)
    }
    await sleep(200)
  }
  throw new Error(`cidery was not ready within ${readyDeadlineMs / 1000} s: ${last}`)
}

/** Another program may hold the port; then any free one does. */
async function freeAddress(listen) {
  const [host = '127.0.0.1', port = '7700'] = listen.split(/:(?=\d+$)/)
  const taken = await new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (!taken) return `${host}:${port}`
  for (let next = Number(port) + 1; next < Number(port) + 100; next += 1) {
    const free = await freeAddress(`${host}:${next}`).catch(() => null)
    if (free !== null) return free
  }
  throw new Error(`no free port near ${listen}; give one with --listen HOST:PORT`)
}

/**
 * Without root a job has no network of its own and no limits, which the default pool does not allow: the spec says in so many words that here it is
 * allowed.
 */
function specFor(state) {
  const weak = 'pools:\n  default:\n    engines: { user: { networks: [host], limits: advisory } }\n'
  const image = 'images:\n  debian: { engine: qemu }\n'
  const spec = `${asRoot ? '' : weak}${withMachines ? image : ''}`
  if (spec === '') return []
  const file = join(state, 'cidery.yaml')
  writeFileSync(file, `version: 1\n${spec}`)
  return ['--spec', file]
}

/** Installs what machines need, makes the disk that they start from, and tells this machine's agent of it. */
async function prepareMachines(state) {
  say('preparing virtual machines: QEMU, and a small Debian with gcc and make for them to start from (kept for the next time)')
  const install = spawnSync(process.execPath, [join(root, 'tools/install-components.js'), 'qemu', 'disk-tools', 'sshd'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 600_000,
  })
  if (install.status !== 0) throw new Error('what virtual machines need could not be installed; the lines above say why')
  const { disk } = await ensureGoldenDisk()
  const agent = join(state, 'agent')
  mkdirSync(agent, { recursive: true, mode: 0o700 })
  writeFileSync(join(agent, 'agent.yaml'), JSON.stringify({ engines: { qemu: { images: { debian: dirname(disk) } } } }))
}

async function main() {
  installWhatIsMissing()
  buildDashboard()
  mkdirSync(values.state, { recursive: true, mode: 0o700 })
  if (withMachines) await prepareMachines(values.state)
  const listen = await freeAddress(values.listen)
  const url = `http://${listen}`
  const env = { ...process.env, CIDERY_STATE: values.state, CIDERY_URL: url }
  const up = spawn(process.execPath, [cidery, 'up', '--state', values.state, '--listen', listen, ...specFor(values.state)], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = new Promise((resolve) => up.once('exit', resolve))
  // Ctrl-C reaches both processes; this one stays until the other has put everything away.
  let leaving = false
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      leaving = true
      up.kill('SIGTERM')
    })
  }
  let code = 1
  try {
    await waitUntilReady(url, up)
    code = await buildExample(env)
  } catch (error) {
    if (!leaving) say(error instanceof Error ? error.message : String(error))
  }
  if (!values.once && !leaving && up.exitCode === null) {
    say(`the dashboard stays at ${url} until Ctrl-C; try: CIDERY_STATE=${values.state} npx cidery run -- uname -a`)
    await ended
  }
  up.kill('SIGTERM')
  await ended
  process.exitCode = code
}

async function buildExample(env) {
  const work = join(values.state, 'example')
  say('fetching the source of a C program')
  const example = fetchExampleSource(work, join(root, 'examples'))
  say(`building ${example.origin} in a sandbox of its own`)
  // Without root a job is isolated by directory only and shares the network of the machine: asked for in so many words.
  const network = asRoot ? [] : ['--network', 'host']
  const engine = withMachines ? ['--engine', 'qemu', '--image', 'debian'] : []
  const artifacts = join(values.state, 'artifacts')
  rmSync(artifacts, { recursive: true, force: true })
  const words = [
    'run',
    '--name',
    example.name,
    '--source',
    example.path,
    '--artifact',
    example.artifact,
    '--artifacts-dir',
    artifacts,
    ...network,
    ...engine,
    '--',
    'make',
  ]
  const run = spawn(process.execPath, [cidery, ...words], { env, stdio: ['ignore', 'inherit', 'inherit'] })
  // A terminal tells the run of Ctrl-C by itself; told twice, it leaves without waiting for a controller that is going too.
  process.once('SIGTERM', () => run.kill('SIGKILL'))
  const code = await new Promise((resolve) => run.once('exit', (status, signal) => resolve(status ?? (signal === 'SIGINT' ? 130 : 1))))
  rmSync(work, { recursive: true, force: true })
  if (code === 0) say(`built in ${newestJob(env)?.engine}: ${join(artifacts, example.artifact)}`)
  else say(`the build ended with exit code ${code}`)
  return code
}

/** As a person would look at it. */
function newestJob(env) {
  const { stdout } = spawnSync(process.execPath, [cidery, 'job', 'ls', '--output', 'json'], { env, encoding: 'utf8', timeout: 60_000 })
  return JSON.parse(stdout).items[0]
}

await main()
