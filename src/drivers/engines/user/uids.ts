import { readFileSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import { writeAtomically } from '../records.ts'
import type { UserEngineConfig } from './settings.ts'

interface Counter {
  readonly next: number
  readonly wrapped: boolean
}

function readCounter(path: string, first: number): Counter {
  try {
    const { next, wrapped } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Counter>
    if (typeof next === 'number' && typeof wrapped === 'boolean') return { next, wrapped }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { next: first, wrapped: false }
  }
  // An unreadable counter says nothing of who had which UID: every one is searched for before it is used.
  return { next: first, wrapped: true }
}

/**
 * The next UID of the range that nobody has; written down before it is returned, so that no UID comes twice before all others came
 * once. Call under the engine's lock. `isUsed` is asked with true once the range has wrapped: then it has to search the host.
 */
export async function allocateUid(config: UserEngineConfig, isUsed: (uid: number, wrapped: boolean) => Promise<boolean>): Promise<number> {
  const path = `${config.stateDir}/uids.json`
  let counter = readCounter(path, config.firstUid)
  for (let tried = config.firstUid; tried <= config.lastUid; tried += 1) {
    const uid = counter.next >= config.firstUid && counter.next <= config.lastUid ? counter.next : config.firstUid
    const used = await isUsed(uid, counter.wrapped)
    const wraps = uid >= config.lastUid
    counter = { next: wraps ? config.firstUid : uid + 1, wrapped: counter.wrapped || wraps }
    if (used) continue
    writeAtomically(path, JSON.stringify(counter))
    return uid
  }
  throw new CideryError('ENGINE_FAILED', `every UID from ${config.firstUid} to ${config.lastUid} is in use`, {
    hint: 'cidery host clean --all',
  })
}

/** Name of a sandbox's account: the prefix and the last 20 characters of the job's id; a number behind it when that name is taken. */
export function accountName(prefix: string, jobId: string, isTaken: (name: string) => boolean): string {
  const body = jobId.slice(jobId.indexOf('_') + 1).slice(-20)
  for (let number = 1; number < 1000; number += 1) {
    const name = number === 1 ? `${prefix}${body}` : `${prefix}${body}-${number}`
    if (!isTaken(name)) return name
  }
  throw new CideryError('ENGINE_FAILED', `every account name for ${jobId} is taken`, { hint: 'cidery host clean --all' })
}
