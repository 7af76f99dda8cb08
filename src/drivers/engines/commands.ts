import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { CideryError } from '../../model/errors.ts'

/** Where programs that run as root are looked for; never the PATH of whoever started the agent. */
const trustedPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] as const

/** Environment of every helper program: nothing of the agent's own environment reaches it. */
export const helperEnvironment: Readonly<Record<string, string>> = { PATH: trustedPath.join(':'), LC_ALL: 'C' }

const outputLimit = 1024 * 1024

const found = new Map<string, string>()

/** Absolute path of a system program, or null when it is not installed. Only hits are remembered: installing one later helps. */
export function findProgram(name: string): string | null {
  const known = found.get(name)
  if (known !== undefined) return known
  for (const directory of trustedPath) {
    const path = `${directory}/${name}`
    try {
      accessSync(path, constants.X_OK)
      found.set(name, path)
      return path
    } catch {
      // Not in this directory.
    }
  }
  return null
}

/** Absolute path of a system program; throws UNSUPPORTED with what to install. */
export function program(name: string): string {
  const path = findProgram(name)
  if (path === null) throw new CideryError('UNSUPPORTED', `the program ${name} is not installed`, { hint: `install ${name}` })
  return path
}

export interface RunOptions {
  readonly input?: string
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string>>
  /** Ends it by TERM when it is aborted. */
  readonly signal?: AbortSignal
  /** Told of the process as soon as it is there. */
  readonly onStart?: (pid: number) => void
  /** Gets what it prints as it comes, in pieces that need not be lines. */
  readonly onStdout?: (chunk: Buffer) => void
}

export interface Ran {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

function collector(): { add(chunk: Buffer): void; text(): string } {
  const chunks: Buffer[] = []
  let size = 0
  return {
    add(chunk) {
      if (size < outputLimit) chunks.push(chunk)
      size += chunk.length
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  }
}

/** Runs a program without a shell, with a deadline (default 30 s, then KILL). Rejects only when it cannot be started. */
export function run(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<Ran> {
  const [name, ...args] = argv
  const path = name.startsWith('/') ? name : program(name)
  return new Promise((resolve, reject) => {
    const child = spawn(path, args, { env: options.env ?? helperEnvironment, cwd: '/', stdio: 'pipe' })
    const stdout = collector()
    const stderr = collector()
    const deadline = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 30_000)
    const abort = (): void => void child.kill('SIGTERM')
    options.signal?.addEventListener('abort', abort, { once: true })
    if (options.signal?.aborted === true) abort()
    if (child.pid !== undefined) options.onStart?.(child.pid)
    child.stdout.on('data', (chunk: Buffer) => {
      stdout.add(chunk)
      options.onStdout?.(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => stderr.add(chunk))
    child.once('error', (cause) => {
      clearTimeout(deadline)
      reject(new CideryError('ENGINE_FAILED', `${path} could not be started`, { cause }))
    })
    child.once('close', (code, signal) => {
      clearTimeout(deadline)
      options.signal?.removeEventListener('abort', abort)
      resolve({ code, signal, stdout: stdout.text(), stderr: stderr.text() })
    })
    // A program that stops reading early says so by its exit code, not by our broken pipe.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

/** Runs a program that has to succeed and returns its output; throws ENGINE_FAILED with the last of its complaints. */
export async function must(argv: readonly [string, ...string[]], options: RunOptions = {}): Promise<string> {
  const ran = await run(argv, options)
  if (ran.code === 0) return ran.stdout
  const complaint = ran.stderr.trim().split('\n').slice(-3).join('; ').slice(-400)
  const end = ran.code === null ? `was ended by ${ran.signal ?? 'a signal'}` : `failed with code ${ran.code}`
  throw new CideryError('ENGINE_FAILED', `${argv[0]} ${end}${complaint === '' ? '' : `: ${complaint}`}`, { details: { code: ran.code } })
}
