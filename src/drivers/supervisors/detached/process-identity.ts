import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** What tells a process from a later one with the same pid. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks since boot on Linux, the start's date on macOS. */
  readonly startTime: string
  readonly bootId: string
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function runOrNull(program: string, words: readonly string[]): string | null {
  try {
    return execFileSync(program, words, { encoding: 'utf8', timeout: 5000, stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    // ps fails for a pid that is not there.
    return null
  }
}

let ownBootId: string | undefined

/** Identifies this boot of the machine. */
export function bootId(): string {
  ownBootId ??=
    readOrNull('/proc/sys/kernel/random/boot_id')?.trim() ?? runOrNull('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid']) ?? 'unknown'
  return ownBootId
}

/** When a living process started, or null when there is none (a zombie is none). */
function startTimeOf(pid: number): string | null {
  if (process.platform !== 'linux') {
    const line = runOrNull('/bin/ps', ['-o', 'stat=,lstart=', '-p', String(pid)])
    return line === null || line === '' || line.startsWith('Z') ? null : line.replace(/^\S+\s+/, '')
  }
  const stat = readOrNull(`/proc/${pid}/stat`)
  if (stat === null) return null
  // Fields are counted from behind the name, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
}

/** Identity of a living process, or null. */
export function identify(pid: number): ProcessIdentity | null {
  const startTime = startTimeOf(pid)
  return startTime === null ? null : { pid, startTime, bootId: bootId() }
}

/** Whether that very process still lives. */
export function lives(identity: ProcessIdentity): boolean {
  return identity.bootId === bootId() && startTimeOf(identity.pid) === identity.startTime
}
