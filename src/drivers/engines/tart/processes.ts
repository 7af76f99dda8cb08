import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram, run } from '../commands.ts'
import type { Process } from './record.ts'

export interface Listed extends Process {
  readonly words: string
}

/** Start times by `ps` may differ by a second from look to look. */
const startToleranceMs = 3000

const environment = { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' } as const

/** Processes of this host that are not zombies, on macOS and Linux alike. */
export async function processes(pid?: number): Promise<readonly Listed[]> {
  const which = pid === undefined ? ['-A', '-ww'] : ['-ww', '-p', String(pid)]
  // One -o for each column: to BSD, what stands behind the first = is a heading.
  const columns = ['pid=', 'stat=', 'lstart=', 'args='].flatMap((column) => ['-o', column])
  const { stdout } = await run(['ps', ...which, ...columns], { env: environment })
  return stdout.split('\n').flatMap((line) => {
    const [, id, state = '', start = '', words = ''] = /^\s*(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/.exec(line) ?? []
    return id === undefined || state.startsWith('Z') ? [] : [{ pid: Number(id), startedAt: Date.parse(`${start} UTC`), words }]
  })
}

/** The process with this pid now, or null. */
export async function identify(pid: number): Promise<Process | null> {
  const found = (await processes(pid))[0]
  return found === undefined ? null : { pid: found.pid, startedAt: found.startedAt }
}

/** Whether the very process that was recorded still runs, not a later one with its pid. */
export async function isAlive(process: Process | null): Promise<boolean> {
  if (process === null) return false
  const found = await identify(process.pid)
  return found !== null && Math.abs(found.startedAt - process.startedAt) <= startToleranceMs
}

/** KILLs a process and waits until it is gone; false when it stays. */
export async function killProcess(target: Process, limitMs = 15_000): Promise<boolean> {
  const until = performance.now() + limitMs
  for (;;) {
    if (!(await isAlive(target))) return true
    try {
      process.kill(target.pid, 'SIGKILL')
    } catch {
      // Gone since the look.
    }
    if (performance.now() > until) return false
    await sleep(50)
  }
}

/** Files that a process has open; as far as this user may see. */
export async function openFiles(pid: number): Promise<readonly string[]> {
  if (process.platform === 'linux') {
    try {
      return readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    } catch {
      // It is gone, or another user's.
      return []
    }
  }
  if (findProgram('lsof') === null) return []
  const { stdout } = await run(['lsof', '-w', '-n', '-P', '-Fn', '-p', String(pid)])
  return stdout.split('\n').flatMap((line) => (line.startsWith('n') ? [line.slice(1)] : []))
}
