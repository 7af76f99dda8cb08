import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Line } from './lines.ts'

/** Process 1 of a machine: says that it is there, and takes in what lost its parent. */
const init = '$| = 1; $SIG{CHLD} = "IGNORE"; print "up\\n"; sleep 3600 while 1'

/** Pid of the first child of a process, or null when it has none. */
function childOf(pid: number): number | null {
  try {
    const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])
    return child > 0 ? child : null
  } catch {
    // It is gone.
    return null
  }
}

/** The processes of one host, which see no others: an engine counts the guests of its machine, and must not count its neighbours'. */
export class Machine {
  readonly #holder: ChildProcess
  readonly #first: number

  private constructor(holder: ChildProcess, first: number) {
    this.#holder = holder
    this.#first = first
  }

  static async build({ namespace }: Line): Promise<Machine> {
    const words = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'perl', '-e', init]
    const holder = spawn('nsenter', [`--net=/run/netns/${namespace}`, 'unshare', ...words], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(holder.stdout, 'data')
    return new Machine(holder, childOf(holder.pid ?? 0) ?? 0)
  }

  /** What to put before a command so that it runs here. Its process is the child of the one that is started. */
  get through(): readonly string[] {
    // Controllers and database have machines of their own: they wait for no agent's processor.
    return ['nice', '-n', '5', 'nsenter', '--target', String(this.#first), '--mount', '--pid', '--net']
  }

  /** Ends every process of this machine at once. */
  async remove(): Promise<void> {
    const gone = once(this.#holder, 'exit')
    process.kill(this.#first, 'SIGKILL')
    await gone
  }
}

/** Sends a signal to what runs in a machine by way of this process. False when it is gone. */
export function signalThrough(entered: ChildProcess, signal: NodeJS.Signals): boolean {
  const pid = childOf(entered.pid ?? 0)
  if (pid === null) return false
  process.kill(pid, signal)
  // The one in between stops and goes on with what it waits for.
  if (signal === 'SIGCONT') entered.kill(signal)
  return true
}
