import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { processStart } from './process-start.ts'

/** Who holds a lock, for people: the lock itself is the kernel's and never decided by this. */
export interface LockHolder {
  readonly pid: number
  readonly purpose: string
  /** Epoch milliseconds. */
  readonly acquiredAt: number
  readonly processStart: string | null
}

export function holderPath(lockPath: string): string {
  return `${lockPath}.holder.json`
}

export function writeHolder(lockPath: string, holder: LockHolder): void {
  const partial = `${holderPath(lockPath)}.${process.pid}`
  writeFileSync(partial, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
  renameSync(partial, holderPath(lockPath))
}

export function removeHolder(lockPath: string): void {
  rmSync(holderPath(lockPath), { force: true })
}

/** The holder if its record is of a process that lives: after a crash the record is that of the dead. */
export function readLivingHolder(lockPath: string): LockHolder | null {
  const holder = parseHolder(lockPath)
  if (holder === null) return null
  const started = processStart(holder.pid)
  return started !== null && (holder.processStart === null || started === holder.processStart) ? holder : null
}

function parseHolder(lockPath: string): LockHolder | null {
  try {
    const value: unknown = JSON.parse(readFileSync(holderPath(lockPath), 'utf8'))
    return typeof value === 'object' && value !== null && 'pid' in value && Number.isInteger(value.pid) ? (value as LockHolder) : null
  } catch {
    // Not there yet, or not ours: the message then names no pid.
    return null
  }
}
