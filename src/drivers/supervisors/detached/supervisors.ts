import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import type { SupervisedRun, Supervision, Supervisors } from '../../../ports/supervisors.ts'
import { lives } from './process-identity.ts'
import type { ProcessIdentity } from './process-identity.ts'
import { readCommand, readExit, readSupervisor, runFiles } from './run-files.ts'
import type { RunFiles } from './run-files.ts'

export interface DetachedSupervisorsSettings {
  /** A directory of their own (0700); one directory per run inside. */
  readonly directory: string
  /** The program that a supervisor runs: src/main/supervisor.ts, or what it was built to. */
  readonly entry: string
  /** Node; default: the one that runs this. */
  readonly node?: string
}

/** A supervisor is small: 64 MiB of heap hold it, and a heap that never grows is not collected in big steps. */
const nodeFlags = ['--max-old-space-size=64', '--max-semi-space-size=1', '--no-warnings'] as const

/** Watching tells at once; this is the net for file systems and moments where it does not. */
const pollMs = 500

/** A log that grows all the time would wake a watcher all the time. */
const logPoll = { shortestMs: 100, longestMs: 1000 } as const

const startDeadlineMs = 30_000

/** Supervisors as processes in sessions of their own: neither the end nor the signals of the agent reach them. */
export class DetachedSupervisors implements Supervisors {
  readonly #settings: DetachedSupervisorsSettings

  constructor(settings: DetachedSupervisorsSettings) {
    this.#settings = settings
  }

  async start(run: SupervisedRun): Promise<void> {
    const files = this.#files(run.id)
    mkdirSync(files.directory, { recursive: true, mode: 0o700 })
    if (readSupervisor(files) !== null) return
    const trouble = openSync(files.trouble, 'a', 0o600)
    const { node = process.execPath, entry } = this.#settings
    const child = spawn(node, [...nodeFlags, entry, files.directory], {
      cwd: '/',
      detached: true,
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['pipe', 'pipe', trouble],
    })
    closeSync(trouble)
    const said = await handOver(child, JSON.stringify(run))
    if (said === 'ready' || readSupervisor(files) !== null) return
    throw new CideryError('ENGINE_FAILED', `the supervisor of ${run.id} did not start: ${said} ${lastLine(files.trouble)}`.trim())
  }

  inspect(id: string): Promise<Supervision> {
    return Promise.resolve().then(() => inspectFiles(this.#files(id)))
  }

  async cancel(id: string): Promise<void> {
    const files = this.#files(id)
    const record = readSupervisor(files)
    if (record === null) return
    closeSync(openSync(files.cancel, 'a', 0o600))
    signalIfAlive(record, 'SIGUSR2')
    await Promise.resolve()
  }

  async wait(id: string, signal: AbortSignal): Promise<Supervision> {
    const files = this.#files(id)
    for (;;) {
      const change = nextChange(files.directory, signal)
      const now = inspectFiles(files)
      if (now.state !== 'running' || signal.aborted) {
        change.stop()
        return now
      }
      await change.happened
    }
  }

  async readLog(id: string, offset: number, limit: number): Promise<Uint8Array> {
    const log = await open(this.#files(id).log, 'r').catch(ignoreMissing)
    if (log === null) return new Uint8Array()
    try {
      const { size } = await log.stat()
      const buffer = new Uint8Array(Math.max(0, Math.min(limit, size - offset)))
      const { bytesRead } = await log.read(buffer, 0, buffer.length, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await log.close()
    }
  }

  async logLength(id: string): Promise<number> {
    return (await stat(this.#files(id).log).catch(ignoreMissing))?.size ?? 0
  }

  async waitForLog(id: string, beyond: number, signal: AbortSignal): Promise<void> {
    const files = this.#files(id)
    for (let pause: number = logPoll.shortestMs; !signal.aborted; pause = Math.min(logPoll.longestMs, pause * 1.25)) {
      if ((await this.logLength(id)) > beyond || inspectFiles(files).state !== 'running') return
      await sleep(pause, undefined, { signal }).catch(() => {
        // Aborted: seen above.
      })
    }
  }

  list(): Promise<readonly string[]> {
    try {
      return Promise.resolve(readdirSync(this.#settings.directory).sort())
    } catch (error) {
      return Promise.resolve(error)
        .then(ignoreMissing)
        .then(() => [])
    }
  }

  async programs(): Promise<readonly string[] | null> {
    const programs: string[] = []
    for (const id of await this.list()) {
      const record = readSupervisor(this.#files(id))
      if (record === null || !lives(record)) continue
      if (record.program === undefined) return null
      programs.push(record.program)
    }
    return programs
  }

  async remove(id: string): Promise<void> {
    const files = this.#files(id)
    const record = readSupervisor(files)
    if (record !== null) await end(record, false)
    const command = readCommand(files)
    if (command !== null) await end(command, true)
    rmSync(files.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #files(id: string): RunFiles {
    if (!/^[A-Za-z0-9_-]{1,100}$/.test(id)) throw new CideryError('INVALID_INPUT', `${JSON.stringify(id)} is not an id`)
    return runFiles(`${this.#settings.directory}/${id}`)
  }
}

function ignoreMissing(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
  throw error
}

function lastLine(path: string): string {
  const text = readFileSync(path, 'utf8').trim().slice(-1000)
  return text.split('\n').find((line) => /Error/.test(line)) ?? text.split('\n').at(-1) ?? ''
}

/** Gives the supervisor its run on its input (never in its words: the environment may hold secrets) and waits for its answer. */
function handOver(child: ChildProcess, text: string): Promise<string> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => finish(`it did not answer within ${startDeadlineMs / 1000} s`), startDeadlineMs)
    function finish(said: string): void {
      clearTimeout(deadline)
      child.stdout?.destroy()
      child.stdin?.destroy()
      child.unref()
      resolve(said)
    }
    child.once('error', (error) => finish(error.message))
    child.once('exit', (code, signal) => finish(`it ended with ${code ?? signal ?? 'nothing'}`))
    child.stdout?.once('data', () => finish('ready'))
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(text)
  })
}

function inspectFiles(files: RunFiles): Supervision {
  const ended = readExit(files)
  if (ended !== null) return { state: 'ended', exit: ended }
  const record = readSupervisor(files)
  if (record === null) return { state: 'none' }
  if (lives(record)) return { state: 'running', pid: record.pid, startedAt: record.startedAt }
  // It may have written its exit record and gone between the two looks.
  const late = readExit(files)
  if (late !== null) return { state: 'ended', exit: late }
  return { state: 'dead', reason: `the supervisor (pid ${record.pid}) was killed, or the machine restarted` }
}

function signalIfAlive(identity: ProcessIdentity, signal: NodeJS.Signals, group = false): void {
  if (!lives(identity)) return
  try {
    process.kill(group ? -identity.pid : identity.pid, signal)
  } catch {
    // Gone since the look.
  }
}

async function end(identity: ProcessIdentity, group: boolean): Promise<void> {
  signalIfAlive(identity, 'SIGKILL', group)
  for (let tries = 0; tries < 500 && lives(identity); tries += 1) await sleep(10)
}

/** Resolves at the next change in a directory, after the poll time, or when the signal is aborted. */
function nextChange(directory: string, signal: AbortSignal): { readonly happened: Promise<void>; stop(): void } {
  let stop = (): void => undefined
  const happened = new Promise<void>((resolve) => {
    const timer = setTimeout(() => stop(), pollMs)
    const watcher = watchOrNull(directory, () => stop())
    const onAbort = (): void => stop()
    signal.addEventListener('abort', onAbort, { once: true })
    stop = () => {
      clearTimeout(timer)
      watcher?.close()
      signal.removeEventListener('abort', onAbort)
      resolve()
    }
  })
  return { happened, stop: () => stop() }
}

function watchOrNull(directory: string, onChange: () => void): { close(): void } | null {
  try {
    // The log changes all the time and says nothing about the end.
    const watcher = watch(directory, (_, name) => {
      if (name !== 'log') onChange()
    })
    watcher.on('error', () => onChange())
    return watcher
  } catch {
    // No directory, or no more watches on this host: the poll does it.
    return null
  }
}
