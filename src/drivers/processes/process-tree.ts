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

function treeOf(leader: number, entries: readonly Entry[]): ReadonlySet<number> {
  const tree = new Set([leader])
  for (let before = 0; before !== tree.size;) {
    before = tree.size
    for (const { pid, parent, group, session } of entries) if (tree.has(parent) || tree.has(group) || tree.has(session)) tree.add(pid)
  }
  return tree
}

/** Living processes that belong to a command: what descends from it, and all of the groups and sessions that those lead. */
export function processTree(leader: number): readonly number[] {
  const entries = allEntries()
  const tree = treeOf(leader, entries)
  return entries.map(({ pid }) => pid).filter((pid) => tree.has(pid))
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

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch {
    // Gone since the look.
  }
}

/**
 * Sends a signal to all of a command. Whole groups where it can: the kernel then also reaches what is being forked at this moment,
 * which a list of pids misses. KILL takes the one at the door as well.
 */
export function signalTree(leader: number, signal: NodeJS.Signals): void {
  const entries = allEntries()
  const tree = treeOf(leader, entries)
  const spared = signal !== 'SIGKILL' && onlyWaitsAtTheDoor(leader) ? leader : 0
  const members = entries.filter(({ pid }) => tree.has(pid) && pid !== spared)
  const strangers = new Set(entries.filter(({ pid }) => !tree.has(pid) || pid === spared).map(({ group }) => group))
  const groups = new Set(members.map(({ group }) => group).filter((group) => group > 1 && !strangers.has(group)))
  for (const group of groups) send(-group, signal)
  for (const { pid, group } of members) if (!groups.has(group)) send(pid, signal)
}
