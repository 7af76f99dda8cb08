import { CideryError } from '../../../model/errors.ts'
import { formatDuration, type Milliseconds } from '../../../model/instant.ts'
import { startInside } from '../inside.ts'
import { onAbort } from '../on-abort.ts'
import type { Build } from './build-request.ts'

/** A script for the guest of a build or of a proof. */
export interface GuestScript {
  readonly script: string
  readonly asRoot: boolean
  readonly limitMs: Milliseconds
  /** What it does, for errors: `the step compilers`. */
  readonly what: string
  readonly input?: AsyncIterable<Uint8Array> | Uint8Array
  /** Words that the script has as $1, $2, … */
  readonly words?: readonly string[]
}

/** How a script ended, and the last of what it said, both streams. */
export interface ScriptEnd {
  readonly exitCode: number | null
  readonly output: string
}

/** Enough for a table of versions; the whole is in the log. */
const keptOutput = 64 * 1024

const stopGrace = 5000

/** Where Homebrew and hand-made tools are, before the system's own. */
const searchPath = '/opt/homebrew/bin:/opt/homebrew/sbin:/usr/local/bin:/usr/local/sbin:/usr/bin:/bin:/usr/sbin:/sbin'

function environmentOf(home: string): Readonly<Record<string, string>> {
  return { PATH: searchPath, HOME: home, LANG: 'C.UTF-8', LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive', NONINTERACTIVE: '1' }
}

/** A sandbox of a build whose guest answers. */
export interface Guest {
  readonly build: Pick<Build, 'ports' | 'engine' | 'log' | 'signal'>
  readonly id: string
  readonly home: string
}

/** Runs a script in a guest to its end; its output goes to the log. UNAVAILABLE when it takes longer than it may. */
export async function runScript({ build, id, home }: Guest, script: GuestScript): Promise<ScriptEnd> {
  const { ports, engine, log, signal } = build
  signal.throwIfAborted()
  const command = {
    argv: ['/bin/sh', '-c', script.script, 'cidery', ...(script.words ?? [])] as const,
    env: environmentOf(script.asRoot ? '/root' : home),
    cwd: script.asRoot ? '/' : home,
    asRoot: script.asRoot,
  }
  const input = script.input === undefined ? {} : { input: script.input }
  const started = await startInside({ ports, engine, id, signal }, { ...command, argv: [...command.argv] }, { mergeErrors: true, ...input })
  let late = false
  const stop = (): void => void started.stop(stopGrace)
  const timer = ports.timers.after(script.limitMs, () => {
    late = true
    stop()
  })
  const stopListening = onAbort(signal, stop)
  let output = ''
  try {
    started.ended.catch(() => {
      // Looked at below.
    })
    for await (const bytes of started.output) {
      log.output(bytes)
      output = `${output}${Buffer.from(bytes).toString('utf8')}`.slice(-keptOutput)
    }
    const { code } = await started.ended
    signal.throwIfAborted()
    if (late) throw new CideryError('UNAVAILABLE', `${script.what} took longer than ${formatDuration(script.limitMs)}`)
    return { exitCode: code, output }
  } finally {
    timer.cancel()
    stopListening()
    await started.stop(stopGrace)
  }
}

/** The same for a script that has to end well: ENGINE_FAILED with the last lines that it said. */
export async function mustRun(guest: Guest, script: GuestScript): Promise<string> {
  const { exitCode, output } = await runScript(guest, script)
  if (exitCode === 0) return output
  const said = output.trim().split('\n').slice(-5).join('; ').slice(-600)
  const how = exitCode === null ? 'was ended by a signal' : `ended with code ${exitCode}`
  throw new CideryError('ENGINE_FAILED', `${script.what} ${how}${said === '' ? '' : `: ${said}`}`, { details: { exitCode } })
}
