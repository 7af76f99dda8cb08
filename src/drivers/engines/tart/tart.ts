import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, closeSync, constants, openSync } from 'node:fs'
import { homedir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import type { Log } from '../../../ports/log.ts'
import { run, type Ran, type RunOptions } from '../commands.ts'
import { errorFrom, faultIn, type FaultKind } from './faults.ts'
import type { TartEngineConfig } from './settings.ts'

const where = ['/opt/homebrew/bin/tart', '/usr/local/bin/tart']

/** Foundation writes the keys in another order each time, and later versions drop or add some. */
const Listed = z.array(
  z.object({ Source: z.enum(['local', 'OCI']), Name: z.string(), Running: z.boolean(), State: z.string().default('stopped') }),
)
export type Listed = z.infer<typeof Listed>[number]

/** A call that was made, and what Tart said. */
export interface Told extends Ran {
  readonly fault: FaultKind | null
}

/** Commands that only look; they come often, and are written down where nobody has to see them. */
const looks = new Set(['list', 'get', 'ip', 'exec', '--version'])

const listTries = 5

/** How long a call may take (default a minute), who may end it, and who watches it. */
export type CallOptions = Pick<RunOptions, 'timeoutMs' | 'signal' | 'onStart' | 'onStdout'>

/** Tart's command line. Every call is written to the log: words, milliseconds, code, end of stderr. */
export class Tart {
  readonly #config: TartEngineConfig
  readonly #log: Log | null
  #version: string | null = null

  constructor(config: TartEngineConfig, log: Log | null) {
    this.#config = config
    this.#log = log
  }

  /** Absolute path, or null when it is not installed. */
  find(): string | null {
    for (const path of this.#config.program === null ? where : [this.#config.program]) {
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // Not there.
      }
    }
    return null
  }

  get program(): string {
    const path = this.find()
    if (path === null) throw new CideryError('UNSUPPORTED', 'Tart is not installed', { hint: 'brew install openai/tools/tart' })
    return path
  }

  /** All that Tart gets: nothing of the agent's own environment but what Tart needs. It never clears its cache behind our back. */
  get environment(): Readonly<Record<string, string>> {
    return {
      PATH: '/opt/homebrew/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: homedir(),
      LC_ALL: 'C',
      CI: '1',
      ...this.#config.env,
      TART_HOME: this.#config.home,
      TART_NO_AUTO_PRUNE: '1',
    }
  }

  /** What `tart --version` said last; asked once, and again by `forget`. */
  async version(): Promise<string> {
    this.#version ??= (await this.call(['--version'])).stdout.trim()
    return this.#version
  }

  forget(): void {
    this.#version = null
  }

  /** Runs a command of Tart to its end, or KILLs it at the deadline. A number is `timeoutMs`. */
  async call(words: readonly string[], options: number | CallOptions = {}): Promise<Told> {
    const start = performance.now()
    const given = typeof options === 'number' ? { timeoutMs: options } : options
    const ran = await run([this.program, ...words], { timeoutMs: 60_000, ...given, env: this.environment })
    const fault = ran.code === 0 ? null : faultIn(`${ran.stderr}\n${ran.stdout}`, this.#version ?? '9.9')
    const facts = {
      words: words.map((word) => word.slice(0, 200)),
      ms: Math.round(performance.now() - start),
      code: ran.code ?? ran.signal,
      stderr: ran.stderr.trim().slice(-500),
    }
    const quiet = looks.has(words[0] ?? '')
    this.#log?.[quiet ? 'debug' : fault === null ? 'info' : 'warn']('tart was called', facts)
    return { ...ran, fault }
  }

  /** A command that has to succeed; the error says what Tart said. */
  async must(words: readonly string[], options?: number | CallOptions): Promise<string> {
    const told = await this.call(words, options)
    if (told.code === 0) return told.stdout
    throw await this.error(`tart ${words[0] ?? ''} failed`, told.code === null ? 'it took too long' : `${told.stderr}\n${told.stdout}`)
  }

  async error(what: string, text: string): Promise<CideryError> {
    return errorFrom(what, text, await this.version())
  }

  /** Machines and images. A machine that is deleted at that moment fails the whole list: it is asked again. */
  async list(): Promise<readonly Listed[]> {
    for (let tried = 1; ; tried += 1) {
      const { code, stdout, stderr } = await this.call(['list', '--format', 'json'])
      const listed = code === 0 ? Listed.safeParse(parsed(stdout)) : null
      if (listed?.success === true) return listed.data
      if (tried >= listTries)
        throw await this.error('tart list failed', code === 0 ? `what it lists cannot be read: ${stdout.slice(0, 200)}` : stderr)
      await sleep(200)
    }
  }

  async local(): Promise<readonly Listed[]> {
    return (await this.list()).filter(({ Source }) => Source === 'local')
  }

  /** Starts `tart run` so that it outlives this process; what it says goes to a file. */
  launch(words: readonly string[], logFile: string): ChildProcess {
    const log = openSync(logFile, 'w', 0o600)
    try {
      const child = spawn(this.program, ['run', ...words], { env: this.environment, cwd: '/', detached: true, stdio: ['ignore', log, log] })
      child.unref()
      this.#log?.info('tart was called', { words: ['run', ...words], pid: child.pid })
      return child
    } finally {
      closeSync(log)
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Cut off, or a message where JSON should be.
    return null
  }
}
