import { closeSync, constants, lstatSync, mkdirSync, openSync, realpathSync, statSync, type Stats } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { CideryError } from '../../model/errors.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { HeldLock, Lock } from '../../ports/lock.ts'
import { readLivingHolder, removeHolder, writeHolder, type LockHolder } from './lock-holder.ts'
import { processStart } from './process-start.ts'

export interface KernelLockOptions {
  /** How long a start waits for another that is just letting go; a refusal may take this and 0.2 s more. */
  readonly busyTimeoutMs?: Milliseconds
}

const defaultBusyTimeoutMs = 300
/** How long a refused one waits for the new holder to say who it is. */
const holderWaitMs = 200

const words = {
  agent: {
    code: 'AGENT_LOCKED',
    message: 'Another agent instance is already running',
    hint: 'stop it first, or give this one another state directory',
  },
  controller: {
    code: 'CONTROLLER_LOCKED',
    message: 'Another controller is already running on this state',
    hint: 'stop it first; several controllers need PostgreSQL',
  },
} as const

/** Locks of this process by device and inode. They stay referenced here: a database that nobody knows any more would be closed. */
const held = new Map<string, DatabaseSync>()

/**
 * A lock that the kernel keeps for this very process: an exclusive SQLite transaction on the lock file, which is an fcntl lock on both
 * Linux and macOS. It goes with the process however that ends, a fork does not inherit it, and no pid is compared with anything.
 * The file beside it (`<lock>.holder.json`) only names the holder in messages.
 *
 * Closing any other descriptor of the lock file in this process would drop the lock (so POSIX wants it): never open, read or copy it.
 */
export function createKernelLock(options: KernelLockOptions = {}): Lock {
  const busyTimeoutMs = options.busyTimeoutMs ?? defaultBusyTimeoutMs
  return { acquire: (path, purpose) => acquire(path, purpose, busyTimeoutMs) }
}

async function acquire(path: string, purpose: 'agent' | 'controller', busyTimeoutMs: Milliseconds): Promise<HeldLock> {
  const real = preparePlace(path)
  const before = statSync(real, { throwIfNoEntry: false })
  if (before !== undefined && held.has(inodeOf(before))) throw await lockedError(real, purpose)
  makeLockFile(real)
  const identity = inodeOf(statSync(real))
  const database = new DatabaseSync(real, { timeout: busyTimeoutMs })
  try {
    database.exec('begin exclusive')
  } catch (error) {
    database.close()
    if (isBusy(error)) throw await lockedError(real, purpose)
    throw new CideryError('UNAVAILABLE', `the lock ${real} cannot be taken: ${(error as Error).message}`, { cause: error })
  }
  const now = statSync(real, { throwIfNoEntry: false })
  if (now === undefined || inodeOf(now) !== identity) {
    // Somebody removed the file in between; what we hold, nobody else would look at.
    database.close()
    throw new CideryError('UNAVAILABLE', `the lock ${real} was removed while it was taken`, { hint: 'try again' })
  }
  held.set(identity, database)
  writeHolder(real, { pid: process.pid, purpose, acquiredAt: Date.now(), processStart: processStart(process.pid) })
  let released = false
  return {
    async release() {
      if (released) return
      released = true
      // First the record, while nobody else can have written one.
      removeHolder(real)
      database.close()
      held.delete(identity)
    },
  }
}

/** Makes the directory (0700) and answers the lock's real path. Throws FORBIDDEN where others could put another file in its place. */
function preparePlace(path: string): string {
  const parent = dirname(path)
  mkdirSync(parent, { recursive: true, mode: 0o700 })
  const directory = realpathSync(parent)
  for (let at = directory; ; at = dirname(at)) {
    refuseOpenDirectory(at, at === directory)
    if (at === dirname(at)) return join(directory, basename(path))
  }
}

function refuseOpenDirectory(directory: string, isParent: boolean): void {
  const stat = lstatSync(directory)
  const worldWritable = (stat.mode & 0o002) !== 0
  const sticky = (stat.mode & 0o1000) !== 0
  // Below a sticky directory (such as /tmp) nobody can rename what belongs to us; in it anybody could make the lock first.
  if (worldWritable && (isParent || !sticky)) {
    throw new CideryError('FORBIDDEN', `the lock cannot be kept in ${directory}: everybody may write there`, {
      hint: 'use a state directory of mode 0700',
    })
  }
  const uid = process.getuid?.()
  if (isParent && uid !== undefined && stat.uid !== uid && stat.uid !== 0) {
    throw new CideryError('FORBIDDEN', `the lock cannot be kept in ${directory}: it belongs to another user`, {
      hint: 'use a state directory of your own',
    })
  }
}

function makeLockFile(path: string): void {
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY, 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!lstatSync(path).isFile()) throw new CideryError('FORBIDDEN', `the lock ${path} is not a plain file`, { cause: error })
  }
}

function inodeOf(stat: Stats): string {
  return `${stat.dev}:${stat.ino}`
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' && (error.errcode & 255) === 5
}

async function lockedError(path: string, purpose: 'agent' | 'controller'): Promise<CideryError> {
  const holder = await waitForHolder(path)
  const { code, message, hint } = words[purpose]
  const who = holder === null ? 'pid unknown' : `pid ${holder.pid}`
  return new CideryError(code, `${message} (${who}, lock ${path})`, { hint, details: { lock: path, pid: holder?.pid ?? null } })
}

/** The new holder writes its record a moment after it got the lock. */
async function waitForHolder(path: string): Promise<LockHolder | null> {
  for (let waited = 0; ; waited += 20) {
    const holder = readLivingHolder(path)
    if (holder !== null || waited >= holderWaitMs) return holder
    await pause(20)
  }
}
