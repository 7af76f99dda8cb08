import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

interface Entry {
  readonly pid: number
  readonly parent: number
  readonly group: number
  readonly session: number
}

function entryOf(pid: number): Entry | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Fields are counted from behind the name, which may hold anything.
    const [state, parent, group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? null : { pid, parent: Number(parent), group: Number(group), session: Number(session) }
  } catch {
    // It ended since the listing.
    return null
  }
}

function allEntries(): readonly Entry[] {
  if (process.platform === 'linux') {
    return readdirSync('/proc').flatMap((name) => {
      const entry = /^\d+$/.test(name) ? entryOf(Number(name)) : null
      return entry === null ? [] : [entry]
    })
  }
  const lines = execFileSync('/bin/ps', ['-axo', 'pid=,ppid=,pgid=,sess=,stat='], { encoding: 'utf8', timeout: 5000 }).trim().split('\n')
  return lines.flatMap((line) => {
    const [pid, parent, group, session, state = ''] = line.trim().split(/\s+/)
    return state.startsWith('Z') ? [] : [{ pid: Number(pid), parent: Number(parent), group: Number(group), session: Number(session) }]
  })
}

/** Living processes that belong to a command: its group, its session, and everything that descends from those. */
export function processTree(leader: number): readonly number[] {
  const entries = allEntries()
  const tree = new Set(
    entries.filter(({ pid, group, session }) => pid === leader || group === leader || session === leader).map(({ pid }) => pid),
  )
  for (let before = -1; before !== tree.size;) {
    before = tree.size
    for (const { pid, parent } of entries) if (tree.has(parent)) tree.add(pid)
  }
  return [...tree]
}

/**
 * Whether a process only stands at the door of a sandbox: it entered another PID namespace for its child and waits to end as the child
 * does. A signal for the command must pass it by, or it would end first and the command's own end would be lost.
 */
function onlyWaitsAtTheDoor(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`) !== readlinkSync(`/proc/${pid}/ns/pid_for_children`)
  } catch {
    return false
  }
}

/** Sends a signal to all of a command; returns how many got it. KILL takes the one at the door as well. */
export function signalTree(leader: number, signal: NodeJS.Signals): number {
  const spared = signal !== 'SIGKILL' && onlyWaitsAtTheDoor(leader) ? leader : 0
  let reached = 0
  for (const pid of processTree(leader)) {
    if (pid === spared) continue
    try {
      process.kill(pid, signal)
      reached += 1
    } catch {
      // Gone since the look.
    }
  }
  return reached
}
