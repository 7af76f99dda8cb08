import { CideryError } from '../../model/errors.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine, SandboxCommand } from '../../ports/engine.ts'
import type { StartOptions, StartedProcess } from '../../ports/processes.ts'

/** A sandbox of an engine, and how long one short command inside may take. */
export interface Inside {
  readonly ports: Pick<AgentPorts, 'processes' | 'timers'>
  readonly engine: Engine
  readonly id: string
  readonly signal: AbortSignal
}

/** Starts a command inside a sandbox as its user; whoever calls reads `output` and waits for `ended`. */
export async function startInside(inside: Inside, command: SandboxCommand, options: StartOptions = {}): Promise<StartedProcess> {
  const launch = await inside.engine.command(inside.id, command)
  return inside.ports.processes.start(launch, options)
}

export interface ShortCommand {
  readonly command: SandboxCommand
  readonly input?: AsyncIterable<Uint8Array> | Uint8Array
  /** Gets each piece of output; what it throws ends the command. */
  readonly onOutput?: (bytes: Uint8Array) => void
  readonly limitMs: Milliseconds
  /** What the command does, for error messages: `list the files of the work directory`. */
  readonly what: string
}

const stopGrace = 2000

/** Runs a command inside to its end. Throws ENGINE_FAILED with the end of its error output when it fails, UNAVAILABLE when it takes too long. */
export async function runInside(inside: Inside, short: ShortCommand): Promise<void> {
  const started = await startInside(inside, short.command, short.input === undefined ? {} : { input: short.input })
  const control = new AbortController()
  let why: Error | undefined
  function stop(error: Error): void {
    why ??= error
    void started.stop(stopGrace)
  }
  function onAbort(): void {
    stop(inside.signal.reason as Error)
  }
  if (inside.signal.aborted) onAbort()
  inside.signal.addEventListener('abort', onAbort, { once: true })
  inside.ports.timers.sleep(short.limitMs, control.signal).then(
    () => stop(new CideryError('UNAVAILABLE', `could not ${short.what}: it took longer than ${short.limitMs} ms`)),
    () => {
      // The command ended in time.
    },
  )
  try {
    // Its output may break off before `ended` is looked at.
    started.ended.catch(() => {
      // Thrown below.
    })
    for await (const bytes of started.output) short.onOutput?.(bytes)
    const end = await started.ended
    if (why !== undefined) throw why
    if (end.code !== 0) {
      const how = end.code === null ? `signal ${end.signal ?? 0}` : `code ${end.code}`
      throw new CideryError('ENGINE_FAILED', `could not ${short.what}: ${how}: ${started.errorTail().trim()}`)
    }
  } catch (error) {
    await started.stop(stopGrace)
    throw why ?? error
  } finally {
    control.abort()
    inside.signal.removeEventListener('abort', onAbort)
  }
}
