import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Outside } from '../../src/cli/cli.ts'
import { runProgram } from '../../src/cli/program.ts'
import { nodeOutside } from '../../src/main/cli-outside.ts'

/** Once: it listens on the streams of this process. */
const machine = nodeOutside()

export interface CliRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The very bytes of stdout. */
  readonly bytes: Uint8Array
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string | Uint8Array
  /** What is typed at prompts; given, all three streams are terminals. */
  readonly typed?: readonly string[]
  readonly columns?: number
  readonly cwd?: string
  /** Called with a way to press Ctrl-C. */
  readonly interrupt?: (press: () => void) => void
  /** Gets what is written to stdout and stderr, in the order it is written. */
  readonly both?: string[]
  /** Called with all of stderr so far, whenever something is written there. */
  readonly watch?: (stderr: string) => void
}

/**
 * Runs one command line in this process, over real sockets, with streams of its own. Nothing of the environment of the test gets in; the state
 * directory is an empty one.
 */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const home = await mkdtemp(join(tmpdir(), 'cidery-cli-test-'))
  const out: Buffer[] = []
  const err: Buffer[] = []
  try {
    const code = await runProgram(outsideOf(options, { home, out, err }), args)
    const bytes = Buffer.concat(out)
    return { code, bytes, stdout: bytes.toString('utf8'), stderr: Buffer.concat(err).toString('utf8') }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

interface Sinks {
  readonly home: string
  readonly out: Buffer[]
  readonly err: Buffer[]
}

function outsideOf(options: CliOptions, { home, out, err }: Sinks): Outside {
  const isTTY = options.typed !== undefined
  const typed = [...(options.typed ?? [])]
  const stream = (into: Buffer[], written: () => void) => ({
    isTTY,
    columns: options.columns ?? 80,
    rows: 24,
    async write(data: string | Uint8Array) {
      into.push(Buffer.from(data))
      options.both?.push(Buffer.from(data).toString('utf8'))
      written()
    },
    onResize: () => () => undefined,
  })
  return {
    ...machine,
    env: { CIDERY_STATE: join(home, 'state'), ...options.env },
    cwd: options.cwd ?? home,
    home,
    uid: 1000,
    stdout: stream(out, () => undefined),
    stderr: stream(err, () => options.watch?.(Buffer.concat(err).toString('utf8'))),
    stdin: {
      isTTY,
      readAll: async () => Buffer.from(options.stdin ?? ''),
      async readLine(prompt) {
        err.push(Buffer.from(prompt))
        const line = typed.shift()
        if (line === undefined) throw new Error(`nobody answers ${prompt}`)
        return line
      },
      async *readRaw() {
        if (options.stdin !== undefined) yield Buffer.from(options.stdin)
      },
    },
    onInterrupt(listener) {
      options.interrupt?.(() => listener('SIGINT'))
      return () => undefined
    },
  }
}
