import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { CideryError } from '../model/errors.ts'
import type { HeldLock } from '../ports/lock.ts'

const places = { linux: '/run/cidery', darwin: '/var/run/cidery' } as const

/**
 * Lets one agent of a machine alone make accounts of a prefix: another with the same one would take its accounts for orphans at its start, and
 * remove them under running jobs. Without root no accounts are made, and nothing is locked. Throws AGENT_LOCKED.
 */
export async function lockAccounts(prefix: string): Promise<HeldLock> {
  const place = places[process.platform === 'darwin' ? 'darwin' : 'linux']
  if (process.getuid?.() !== 0) return { release: () => Promise.resolve() }
  await mkdir(place, { recursive: true, mode: 0o700 })
  try {
    return await createKernelLock().acquire(join(place, `accounts-${prefix}.lock`), 'agent')
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'AGENT_LOCKED') throw error
    throw new CideryError('AGENT_LOCKED', `${error.message}: it makes the accounts of this machine that begin with ${prefix}`, {
      hint: 'stop it, or give one of the two a prefix, UIDs and a network of its own: engines.user in agent.yaml, see docs/guide/agent.md',
      cause: error,
      details: error.details,
    })
  }
}
