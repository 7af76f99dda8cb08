import { CideryError } from '../../model/errors.ts'
import type { DesiredStream } from '../../model/sync.ts'
import type { AgentPorts, StreamPeer } from '../../ports/agent.ts'
import type { Engine } from '../../ports/engine.ts'
import type { StartedProcess } from '../../ports/processes.ts'
import { messageOf } from './outcome.ts'
import { plainEnvironment } from './source.ts'

export interface StreamSubject {
  readonly engine: Engine
  /** Environment of the command inside; a shell gets the one that a job would have. */
  readonly env: Readonly<Record<string, string>>
}

export interface StreamSurroundings {
  readonly subject: StreamSubject
  /** Aborted when the agent stops: a terminal does not outlive it. */
  readonly stopping: AbortSignal
}

const stopGrace = 1000
const hangUp = 1
/** Pieces of input that came before the process was there; a person types fewer. */
const mostEarly = 1000

/**
 * Runs a command or shell inside a sandbox for somebody who watches: bytes both ways until either side ends. What cannot be started is
 * told in the terminal, with exit code 125.
 */
export async function openStream(ports: AgentPorts, desired: DesiredStream, around: StreamSurroundings): Promise<void> {
  const { subject, stopping } = around
  let process: StartedProcess | undefined
  let closed = false
  let inputEnded = false
  const early: Uint8Array[] = []

  function stopProcess(): void {
    closed = true
    process
      ?.stop(stopGrace)
      .catch((error: unknown) => ports.log.warn('a stream was not ended', { stream: desired.id, error: messageOf(error) }))
  }

  async function begin(output: Parameters<StreamPeer['start']>[0]): Promise<void> {
    function onStopping(): void {
      stopProcess()
      output.exit(null, hangUp)
    }
    stopping.addEventListener('abort', onStopping, { once: true })
    try {
      const [program = '/bin/sh', ...rest] = desired.command
      const command = { argv: [program, ...rest] as const, env: subject.env, tty: desired.tty }
      const launch = await subject.engine.command(desired.sandboxId, command)
      process = await ports.processes.start(launch, { interactive: true, mergeErrors: true })
      if (closed || stopping.aborted) stopProcess()
      for (const bytes of early.splice(0)) await process.write(bytes)
      if (inputEnded) process.closeInput()
      for await (const bytes of process.output) await output.write(bytes)
      const { code, signal } = await process.ended
      output.exit(code, signal)
    } catch (error) {
      await output.write(Buffer.from(`cidery: ${messageOf(error)}\r\n`))
      output.exit(125, null)
    } finally {
      stopping.removeEventListener('abort', onStopping)
    }
  }

  await ports.link.attachStream(desired.id, {
    async onInput(bytes) {
      if (process !== undefined) await process.write(bytes)
      else if (early.length < mostEarly) early.push(bytes)
    },
    onInputEnd() {
      inputEnded = true
      process?.closeInput()
    },
    onResize() {
      // `script` and the engines' terminals take their size at the start only.
    },
    onClosed: stopProcess,
    start(output) {
      begin(output).catch((error: unknown) => ports.log.warn('a stream broke off', { stream: desired.id, error: messageOf(error) }))
    },
  })
}

/** The engine that a sandbox is in, by asking each. */
export async function engineWith(ports: Pick<AgentPorts, 'engines'>, sandboxId: string): Promise<StreamSubject> {
  for (const engine of ports.engines.values()) {
    const sandbox = (await engine.list()).find(({ id }) => id === sandboxId)
    if (sandbox === undefined) continue
    const { paths, user } = sandbox
    const env = {
      ...plainEnvironment(paths.home),
      USER: user,
      LOGNAME: user,
      SHELL: '/bin/sh',
      TMPDIR: paths.temporary,
      TERM: 'xterm-256color',
      LC_ALL: 'C.UTF-8',
    }
    return { engine, env }
  }
  throw new CideryError('NOT_FOUND', `this host has no sandbox ${sandboxId}`, { hint: 'cidery sandbox ls' })
}
