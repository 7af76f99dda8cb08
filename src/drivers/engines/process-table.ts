import { readdirSync, readFileSync } from 'node:fs'
import type { Holder } from './records.ts'

export interface ProcessEntry {
  readonly pid: number
  readonly command: string
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It ended between the listing and the look.
    return null
  }
}

/** Identifies this boot of the machine: pids and start times mean nothing across boots. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Start time (clock ticks since boot) and state letter of a process, or null when it is not there. */
export function statOf(pid: number): { readonly startTime: string; readonly state: string; readonly parent: number } | null {
  const text = readOrNull(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name in parentheses may hold anything, parentheses and spaces included; fields are counted from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, parent, startTime] = [fields[0], fields[1], fields[19]]
  return state === undefined || startTime === undefined ? null : { state, startTime, parent: Number(parent) }
}

/** Whether the very process that was recorded still runs (not a zombie, not another one with its pid). */
export function isAlive(holder: Holder): boolean {
  if (holder.bootId !== bootId()) return false
  const stat = statOf(holder.pid)
  return stat !== null && stat.startTime === holder.startTime && stat.state !== 'Z' && stat.state !== 'X'
}

function pids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Living processes with this UID in any of their four UIDs (real, effective, saved, file system). Zombies hold nothing and do not count. */
export function processesOf(uid: number): readonly ProcessEntry[] {
  const processes: ProcessEntry[] = []
  for (const pid of pids()) {
    const status = readOrNull(`/proc/${pid}/status`)
    if (status === null || /^State:\s+[ZX]/m.test(status)) continue
    const uids = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? []
    if (uids.includes(String(uid))) processes.push({ pid, command: /^Name:\s+(.*)$/m.exec(status)?.[1] ?? '?' })
  }
  return processes
}

/** Processes of this user whose environment carries the given `NAME=value`; for isolation without an account. */
export function processesMarked(mark: string): readonly ProcessEntry[] {
  const marked: ProcessEntry[] = []
  for (const pid of pids()) {
    const environment = readOrNull(`/proc/${pid}/environ`)
    if (environment?.split('\0').includes(mark) !== true) continue
    const stat = statOf(pid)
    if (stat !== null && stat.state !== 'Z' && pid !== process.pid)
      marked.push({ pid, command: readOrNull(`/proc/${pid}/comm`)?.trim() ?? '?' })
  }
  return marked
}

/** Processes whose words contain `first` and right after it `second`: how a sandbox's holder is found without a record. */
export function processesWithWords(first: string, second: string): readonly ProcessEntry[] {
  const found: ProcessEntry[] = []
  for (const pid of pids()) {
    const words = readOrNull(`/proc/${pid}/cmdline`)?.split('\0') ?? []
    const at = words.indexOf(first)
    if (at >= 0 && words[at + 1] === second) found.push({ pid, command: words[0] ?? '?' })
  }
  return found
}

/** Sends a signal; a process that is already gone is fine. */
export function signalAll(processes: readonly ProcessEntry[], signal: NodeJS.Signals): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, signal)
    } catch {
      // Gone since the look.
    }
  }
}

/** Processes that have a text anywhere in their words: those of a sandbox whose paths nobody else has. Zombies and this process do not count. */
export function processesWithText(text: string): readonly ProcessEntry[] {
  const found: ProcessEntry[] = []
  for (const pid of pids()) {
    if (pid === process.pid || readOrNull(`/proc/${pid}/cmdline`)?.includes(text) !== true) continue
    if (statOf(pid)?.state !== 'Z') found.push({ pid, command: readOrNull(`/proc/${pid}/comm`)?.trim() ?? '?' })
  }
  return found
}
