import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { constants } from 'node:os'
import { PassThrough, Readable } from 'node:stream'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../model/errors.ts'
import type { LaunchCommand } from '../../ports/engine.ts'
import type { ProcessEnd, Processes, StartedProcess, StartOptions } from '../../ports/processes.ts'
import { processTree, signalTree } from './process-tree.ts'

const errorTailBytes = 4096

/** Children of this process, each the leader of a session of its own; programs are started as they are, never through a shell. */
export class LocalProcesses implements Processes {
  async start(launch: LaunchCommand, options: StartOptions = {}): Promise<StartedProcess> {
    const [program, ...words] = launch.argv
    const child = await spawned(program, words, launch)
    return new LocalProcess(child, options)
  }
}

function spawned(program: string, words: readonly string[], launch: LaunchCommand): Promise<ChildProcessWithoutNullStreams> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(new CideryError('ENGINE_FAILED', `${program} could not be started`, { cause }))
    try {
      const child = spawn(program, words, { env: launch.env, cwd: launch.cwd, detached: true, stdio: 'pipe' })
      child.once('spawn', () => {
        child.removeListener('error', fail)
        resolve(child)
      })
      child.once('error', fail)
    } catch (error) {
      fail(error)
    }
  })
}

class LocalProcess implements StartedProcess {
  readonly pid: number
  readonly output: AsyncIterable<Uint8Array>
  readonly ended: Promise<ProcessEnd>
  readonly #input: Writable
  #errors = Buffer.alloc(0)
  #stopping: Promise<void> | undefined

  constructor(child: ChildProcessWithoutNullStreams, options: StartOptions) {
    this.pid = child.pid ?? 0
    this.#input = child.stdin
    // Errors of one started process are told by `ended` and `output`, not by events that nobody hears.
    for (const stream of [child, child.stdin, child.stdout, child.stderr]) stream.on('error', () => undefined)
    const output = options.mergeErrors === true ? merged(child.stdout, child.stderr) : child.stdout
    if (options.mergeErrors !== true) child.stderr.on('data', (chunk: Buffer) => this.#keepTail(chunk))
    this.output = output as AsyncIterable<Uint8Array>
    const end = new Promise<ProcessEnd>((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal: signal === null ? null : constants.signals[signal] }))
      // What nobody reads any more must not keep the process from being over.
      child.once('exit', () => {
        if (output.destroyed) child.stdout.resume()
      })
    })
    this.ended = Promise.all([end, this.#feed(options)]).then(([ended]) => ended)
    // Whoever does not wait for the end has no use for its failure.
    this.ended.catch(() => undefined)
  }

  errorTail(): string {
    return this.#errors.toString('utf8')
  }

  write(bytes: Uint8Array): Promise<void> {
    const input = this.#input
    if (!input.writable || input.write(bytes)) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        input.removeListener('drain', done)
        input.removeListener('close', done)
        resolve()
      }
      input.once('drain', done)
      input.once('close', done)
    })
  }

  closeInput(): void {
    this.#input.end()
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#end(graceMs)
    return this.#stopping
  }

  async #end(graceMs: number): Promise<void> {
    signalTree(this.pid, 'SIGTERM')
    if (await this.#isGoneWithin(graceMs)) return
    signalTree(this.pid, 'SIGKILL')
    if (await this.#isGoneWithin(10_000)) return
    throw new CideryError('ENGINE_FAILED', `process ${this.pid} is still there 10 s after it was killed`)
  }

  async #isGoneWithin(timeoutMs: number): Promise<boolean> {
    const start = performance.now()
    while (processTree(this.pid).length > 0) {
      if (performance.now() - start > timeoutMs) return false
      await sleep(10)
    }
    return true
  }

  #keepTail(chunk: Buffer): void {
    this.#errors = Buffer.concat([this.#errors, chunk]).subarray(-errorTailBytes)
  }

  async #feed({ input, interactive }: StartOptions): Promise<void> {
    if (input === undefined) {
      if (interactive !== true) this.#input.end()
      return
    }
    try {
      await pipeline(input instanceof Uint8Array ? Readable.from([input]) : Readable.from(input), this.#input)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      // A process that stops reading early is no error; a source that breaks is.
      if (code !== 'EPIPE' && code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'ECONNRESET') throw error
    }
  }
}

/** Both streams in the order their bytes arrive. */
function merged(first: Readable, second: Readable): Readable {
  const together = new PassThrough()
  let open = 2
  for (const stream of [first, second]) {
    stream.pipe(together, { end: false })
    stream.once('close', () => {
      open -= 1
      if (open === 0) together.end()
    })
  }
  together.once('close', () => {
    first.resume()
    second.resume()
  })
  return together
}
