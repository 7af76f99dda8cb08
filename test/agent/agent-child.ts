import { spawn, type ChildProcess } from 'node:child_process'
import type { RunAgentOptions } from '../../src/main/agent.ts'
import { until } from './real-agent.ts'

/** An agent as a process of its own. */
export interface AgentChild {
  readonly child: ChildProcess
  readonly pid: number | undefined
  readonly exit: Promise<number | null>
  /** Resolves when it runs. */
  readonly up: Promise<unknown>
  output(): string
  /** How long it took to be refused, ms; without the start of Node. */
  refusedMs(): number
  stop(): void
  kill(): void
}

export function startAgentChild(asked: RunAgentOptions, env: Readonly<Record<string, string>>): AgentChild {
  const { log: _log, ...rest } = asked
  const child = spawn(process.execPath, ['--no-warnings', new URL('./agent-process.ts', import.meta.url).pathname], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let text = ''
  child.stdout.on('data', (piece: Buffer) => (text += piece.toString('utf8')))
  child.stderr.on('data', (piece: Buffer) => (text += piece.toString('utf8')))
  child.stdin.end(JSON.stringify(rest))
  return {
    child,
    pid: child.pid,
    exit: new Promise((resolve) => child.once('exit', (code) => resolve(code))),
    up: until(() => text.includes('UP'), 30_000),
    output: () => text,
    refusedMs: () => Number(/REFUSED (\d+)/.exec(text)?.[1] ?? Number.NaN),
    stop: () => void child.kill('SIGTERM'),
    kill: () => void child.kill('SIGKILL'),
  }
}
