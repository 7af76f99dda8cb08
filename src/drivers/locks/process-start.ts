import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** When a process started, in a form that only tells it from another process of the same pid; null when there is none (or nobody can say). */
export function processStart(pid: number): string | null {
  return process.platform === 'linux' ? linuxStart(pid) : psStart(pid)
}

function linuxStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the command stands in brackets and may hold anything; field 22 counts from there.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    // No such process.
    return null
  }
}

function psStart(pid: number): string | null {
  try {
    return execFileSync('/bin/ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', timeout: 2000 }).trim() || null
  } catch {
    // No such process.
    return null
  }
}
