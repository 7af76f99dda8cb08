import { spawn, type StdioOptions } from 'node:child_process'
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import { helperEnvironment, program } from '../commands.ts'
import { bootId, isAlive, processesWithText, statOf } from '../process-table.ts'
import type { Holder } from '../records.ts'
import { waitUntil } from '../wait.ts'

/** How long a process may take to be gone after KILL; longer only while the kernel hangs on its disk. */
const killMs = 15_000

export interface Detached {
  readonly complaints: string
  /** An open file that it gets as its descriptor 3. */
  readonly extra?: number
}

/** Starts a program that outlives the agent, in a session of its own; what it complains about goes to a file. */
export async function startDetached(argv: readonly [string, ...string[]], { complaints, extra }: Detached): Promise<Holder> {
  const [name, ...words] = argv
  const log = openSync(complaints, 'a', 0o600)
  try {
    const stdio: StdioOptions = extra === undefined ? ['ignore', log, log] : ['ignore', log, log, extra]
    const child = spawn(program(name), words, { cwd: '/', detached: true, env: helperEnvironment, stdio })
    const pid = await new Promise<number>((resolve, reject) => {
      child.once('spawn', () => resolve(child.pid ?? 0))
      child.once('error', (cause) => reject(new CideryError('ENGINE_FAILED', `${name} could not be started`, { cause })))
    })
    child.unref()
    return { pid, startTime: statOf(pid)?.startTime ?? 'gone', bootId: bootId() }
  } finally {
    closeSync(log)
  }
}

/** Waits until a process that was started into a network of its own is there: what is set up for it must not be set up for the host. */
export async function ownNetwork(holder: Holder): Promise<void> {
  const hosts = readlinkSync('/proc/self/ns/net')
  const isOwn = (): boolean => {
    try {
      return readlinkSync(`/proc/${holder.pid}/ns/net`) !== hosts
    } catch {
      return false
    }
  }
  await waitUntil(() => isOwn() || !isAlive(holder), 10_000)
  if (!isOwn() || !isAlive(holder)) throw new CideryError('ENGINE_FAILED', 'the machine got no network of its own')
}

function signal(holder: Holder, name: NodeJS.Signals): void {
  try {
    if (isAlive(holder)) process.kill(holder.pid, name)
  } catch {
    // Gone since the look.
  }
}

/** Ends a process: TERM, `graceMs`, KILL. True when it is gone. */
export async function endProcess(holder: Holder, graceMs: number): Promise<boolean> {
  if (graceMs > 0) {
    signal(holder, 'SIGTERM')
    await waitUntil(() => !isAlive(holder), graceMs)
  }
  signal(holder, 'SIGKILL')
  return waitUntil(() => !isAlive(holder), killMs)
}

/** Kills every process that has this text in its words; gives those that stay. What such a process had just started is looked for again. */
export async function killWithText(text: string): Promise<readonly string[]> {
  for (let look = 0; look < 5; look += 1) {
    const found = processesWithText(text)
    if (found.length === 0) return []
    for (const { pid } of found) {
      const stat = statOf(pid)
      if (stat !== null) await endProcess({ pid, startTime: stat.startTime, bootId: bootId() }, 0)
    }
  }
  return processesWithText(text).map(({ pid, command }) => `process ${pid} ${command}`)
}

/** Last lines of a file, for an error. */
export function lastLines(path: string, count: number): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-count).join('; ').slice(-500)
  } catch {
    return ''
  }
}
