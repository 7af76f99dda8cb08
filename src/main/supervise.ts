import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, closeSync, constants, existsSync, openSync, readFileSync, rmSync, watch } from 'node:fs'
import { Socket } from 'node:net'
import { constants as osConstants } from 'node:os'
import { signalTree } from '../drivers/processes/process-tree.ts'
import { identify } from '../drivers/supervisors/detached/process-identity.ts'
import { claimJson, writeJson } from '../drivers/supervisors/detached/run-files.ts'
import type { RunFiles } from '../drivers/supervisors/detached/run-files.ts'
import type { ExitRecord, SupervisedRun } from '../ports/supervisors.ts'
import { SupervisedLog } from './supervised-log.ts'

/** How often time limit and cancellation are looked at, whatever timers and watches do. */
const tickMs = 500

/** After the command ended: how long its pipe may be silent, and how long in all it is read, when something else still holds it. */
const drainQuietMs = 100
const drainLimitMs = 2000

/** Once the log is cut, a chunk (64 KiB) is thrown away at most each millisecond, so that a flood does not take a core. */
const discardPauseMs = 1

/** Milliseconds that only go up, sleep of the machine included. */
function steady(): number {
  if (process.platform !== 'linux') return performance.now()
  // performance.now() stands still on Linux while the machine sleeps; this does not.
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000
}

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly failure: string | null
}

/** One pipe for both outputs, so that their order stays. Anyone may write to it: `> /dev/stderr` opens it again as the job's user. */
function openPipe(directory: string): { readonly reader: number; readonly writer: number } {
  const path = `${directory}/output`
  rmSync(path, { force: true })
  execFileSync('mkfifo', ['-m', '600', path], { timeout: 10_000 })
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = openSync(path, constants.O_WRONLY)
  chmodSync(path, 0o622)
  rmSync(path)
  return { reader, writer }
}

/** Reads a pipe into the log until it is closed by all, or told to stop; never holds more than a chunk. */
class Pump {
  readonly #socket: Socket
  readonly closed: Promise<void>
  #lastData = steady()

  constructor(reader: number, log: SupervisedLog) {
    this.#socket = new Socket({ fd: reader, readable: true, writable: false })
    this.#socket.on('data', (chunk: Buffer) => {
      this.#lastData = steady()
      log.append(chunk)
      if (!log.isCut) return
      this.#socket.pause()
      setTimeout(() => this.#socket.resume(), discardPauseMs)
    })
    this.closed = new Promise((resolve) => {
      this.#socket.once('close', () => resolve())
      this.#socket.once('error', () => resolve())
    })
  }

  /** Waits for the end of output; something that outlives the command and holds the pipe is not waited for. */
  async drain(): Promise<void> {
    const start = steady()
    while (!this.#socket.closed && steady() - start < drainLimitMs && steady() - Math.max(start, this.#lastData) < drainQuietMs) {
      await Promise.race([this.closed, new Promise((resolve) => setTimeout(resolve, 20))])
    }
    this.#socket.destroy()
  }
}

function launch(run: SupervisedRun, writer: number): { readonly child: ChildProcess | null; readonly ended: Promise<Ended> } {
  try {
    const [program, ...words] = run.launch.argv
    const child = spawn(program, words, { env: run.launch.env, cwd: run.launch.cwd, detached: true, stdio: ['ignore', writer, writer] })
    const ended = new Promise<Ended>((resolve) => {
      child.once('error', (error) => resolve({ code: null, signal: null, failure: error.message }))
      child.once('exit', (code, signal) => resolve({ code, signal, failure: null }))
    })
    return { child, ended }
  } catch (error) {
    // Words or environment that the kernel refuses (too long, a NUL).
    return {
      child: null,
      ended: Promise.resolve({ code: null, signal: null, failure: error instanceof Error ? error.message : String(error) }),
    }
  }
}

/** Ends the command when its time is over or somebody asked for it: TERM, then KILL after the grace. */
class Ending {
  readonly #run: SupervisedRun
  readonly #files: RunFiles
  readonly #pid: number
  readonly #startedAt = steady()
  #cause: 'timedOut' | 'cancelled' | 'interrupted' | null = null
  #termAt = 0
  #killed = false

  constructor(run: SupervisedRun, files: RunFiles, pid: number) {
    this.#run = run
    this.#files = files
    this.#pid = pid
  }

  get cause(): 'timedOut' | 'cancelled' | 'interrupted' | null {
    return this.#cause
  }

  look(): void {
    if (this.#cause === null && existsSync(this.#files.cancel)) this.begin('cancelled')
    if (this.#cause === null && steady() - this.#startedAt >= this.#run.timeLimitMs) this.begin('timedOut')
    if (this.#cause === null || this.#killed || steady() - this.#termAt < this.#run.graceMs) return
    this.#killed = true
    signalTree(this.#pid, 'SIGKILL')
  }

  begin(cause: 'timedOut' | 'cancelled' | 'interrupted'): void {
    if (this.#cause !== null) return
    this.#cause = cause
    this.#termAt = steady()
    signalTree(this.#pid, 'SIGTERM')
    setTimeout(() => this.look(), this.#run.graceMs + 10)
  }

  /** Calls `look` when the limit is near, when the directory changes, when told by a signal, and on every tick. Returns how to stop. */
  watch(): () => void {
    const look = (): void => this.look()
    const interrupt = (): void => this.begin('interrupted')
    const tick = setInterval(look, tickMs)
    const limit = setTimeout(look, Math.min(this.#run.timeLimitMs + 10, 2 ** 31 - 1))
    const watcher = watch(this.#files.directory, (_, name) => {
      if (name === 'cancel') look()
    })
    watcher.on('error', () => watcher.close())
    process.on('SIGUSR2', look)
    process.on('SIGTERM', interrupt)
    process.on('SIGINT', interrupt)
    look()
    return () => {
      clearInterval(tick)
      clearTimeout(limit)
      watcher.close()
      process.removeListener('SIGUSR2', look)
    }
  }
}

function describe(ended: Ended, cause: ExitRecord['cause'], run: SupervisedRun): string {
  if (cause === 'launchFailed') return `the command could not be started: ${ended.failure ?? 'no reason given'}`
  if (cause === 'timedOut') return `the time limit of ${Math.round(run.timeLimitMs / 1000)} s was reached`
  if (cause === 'cancelled') return 'cancelled'
  return ended.signal === null ? `ended with code ${ended.code ?? 0}` : `ended by ${ended.signal}`
}

/** Follows a launched command to its end, ending it when it has to be. */
async function follow(
  run: SupervisedRun,
  files: RunFiles,
  log: SupervisedLog,
): Promise<{ readonly end: Ended; readonly asked: Ending['cause'] }> {
  const { reader, writer } = openPipe(files.directory)
  const { child, ended } = launch(run, writer)
  closeSync(writer)
  const pump = new Pump(reader, log)
  if (child?.pid === undefined) {
    const end = await ended
    await pump.drain()
    return { end, asked: null }
  }
  writeJson(files, files.command, identify(child.pid) ?? { pid: child.pid, startTime: 'gone', bootId: '' })
  const ending = new Ending(run, files, child.pid)
  const stopWatching = ending.watch()
  const end = await ended
  await pump.drain()
  stopWatching()
  return { end, asked: ending.cause }
}

/**
 * Supervises one run to its end: `announce` is called when its record is on disk, or when another supervisor has this run already.
 * Leaves an exit record, except when it was interrupted (the machine goes down): then the run counts as lost, not as ended.
 */
export async function supervise(files: RunFiles, run: SupervisedRun, announce: () => void): Promise<void> {
  // A request to look may come before there is a command to look at.
  process.on('SIGUSR2', () => undefined)
  process.on('SIGHUP', () => undefined)
  const startedAt = Date.now()
  if (!claimJson(files, files.record, { ...identify(process.pid), startedAt, program: process.argv[1] })) return announce()
  announce()
  const log = new SupervisedLog(files.log, run.logLimitBytes)
  const { end, asked } = await follow(run, files, log)
  log.close()
  if (asked === 'interrupted') return
  const cause = end.failure === null ? (asked ?? 'exited') : 'launchFailed'
  const record: ExitRecord = {
    code: end.code,
    signal: end.signal === null ? null : osConstants.signals[end.signal],
    cause,
    message: describe(end, cause, run),
    startedAt,
    endedAt: Date.now(),
    logBytes: log.length,
    logCut: log.isCut,
  }
  writeJson(files, files.exit, record)
}
