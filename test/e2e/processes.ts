import { spawn, type ChildProcess } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from './wait.ts'

export const checkout = join(import.meta.dirname, '../..')
export const launcher = join(checkout, 'bin/cidery.js')

/** A real cidery process of a test: started by the public command line, ended by pid. */
export interface Running {
  readonly child: ChildProcess
  readonly logFile: string
  /** SIGKILL; resolves when the kernel says it is gone. */
  kill(): Promise<void>
  /** SIGTERM, then SIGKILL after the deadline. */
  stop(): Promise<void>
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly logFile: string
  /** Words put before the command, such as `ip netns exec NAME`. */
  readonly through?: readonly string[]
}

/** Starts `cidery …words`; output goes to the log file, for the failure message of a test. */
export function startCidery(words: readonly string[], options: StartOptions): Running {
  const log = createWriteStream(options.logFile, { flags: 'a' })
  const argv = [...(options.through ?? []), process.execPath, launcher, ...words]
  const child = spawn(argv[0] ?? process.execPath, argv.slice(1), {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout?.pipe(log, { end: false })
  child.stderr?.pipe(log, { end: false })
  const gone = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    child.once('exit', () => resolve())
  })
  const send = (signal: NodeJS.Signals): void => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
  }
  return {
    child,
    logFile: options.logFile,
    async kill() {
      send('SIGKILL')
      await gone
    },
    async stop() {
      send('SIGTERM')
      const timer = setTimeout(() => send('SIGKILL'), 20_000)
      await gone
      clearTimeout(timer)
    },
  }
}

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs `cidery …words` to its end and gives what it printed. */
export async function runCidery(
  words: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>
    readonly input?: string
    readonly deadlineMs?: number
    readonly cwd?: string
  } = {},
): Promise<Finished> {
  const child = spawn(process.execPath, [launcher, ...words], {
    env: { ...process.env, ...options.env },
    cwd: options.cwd ?? checkout,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes))
  child.stdin.on('error', () => {
    // It may end without reading its input; that is its right.
  })
  child.stdin.end(options.input ?? '')
  const timer = setTimeout(() => child.kill('SIGKILL'), options.deadlineMs ?? 300_000)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, by) => resolve([status, by]))
  })
  clearTimeout(timer)
  return { code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }
}

export async function temporaryDirectory(name: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `cidery-${name}-`))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** What a controller writes into its state directory once it serves. */
export interface ControllerAddress {
  readonly url: string
  readonly caFingerprint: string | null
  readonly token: string
}

/** Waits until the controller of a state directory answers `/readyz`, and gives how to reach it. */
export async function controllerOf(state: string, running: Running, deadlineMs = 90_000): Promise<ControllerAddress> {
  return waitFor(
    `the controller in ${state}`,
    async () => {
      if (running.child.exitCode !== null) throw new Error(`it ended: ${(await readFile(running.logFile, 'utf8')).slice(-2000)}`)
      const file = JSON.parse(await readFile(join(state, 'controller.json'), 'utf8')) as {
        url: string
        caFingerprint: string | null
        pid?: number
      }
      if (file.pid !== undefined && file.pid !== running.child.pid) return null
      const token = (await readFile(join(state, 'admin.token'), 'utf8')).trim()
      if (file.url.startsWith('http://')) {
        const answer = await fetch(`${file.url}/readyz`, { signal: AbortSignal.timeout(2000) })
        if (!answer.ok) return null
      }
      return { url: file.url, caFingerprint: file.caFingerprint, token }
    },
    deadlineMs,
  )
}
