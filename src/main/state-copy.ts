import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createKernelLock } from '../drivers/locks/kernel-lock.ts'
import { createSystemRandom } from '../drivers/randoms/system-random.ts'
import { createSigner } from '../drivers/secrets/signer.ts'
import { createPostgresStore } from '../drivers/stores/postgres/postgres-store.ts'
import { CideryError } from '../model/errors.ts'
import { hour } from '../model/instant.ts'
import { copyState, type CopiedState } from '../record/copy-state.ts'
import { openStateDirectory } from './controller-files.ts'
import { chooseStore, openStore, storeName } from './controller-store.ts'

export interface CopyStateCommand {
  readonly stateDir: string
  /** `postgres://…` without a password; undefined: what the environment names. */
  readonly to: string | undefined
  readonly dryRun: boolean
}

/** Tables of millions of rows take their time, and nobody else waits for it. */
const copyLimits = { workMs: hour }

/**
 * Copies the SQLite state of a directory into PostgreSQL. Throws CONTROLLER_LOCKED while a controller runs on it, INVALID_INPUT for a target that is
 * none or whose password is in an argument, NOT_FOUND for a directory without state.
 */
export async function copyStateCommand(command: CopyStateCommand): Promise<CopiedState & { readonly to: string; readonly from: string }> {
  const target = chooseStore(command.to, process.env, '--to')
  if (target.kind !== 'postgres') {
    throw new CideryError('INVALID_INPUT', 'no PostgreSQL is named to copy to', {
      hint: 'name a file that holds its URL in CIDERY_STORE_URL_FILE, or --to postgres://user@host/database',
    })
  }
  const ports = { clock: createSystemClock(), timers: createSystemTimers(), random: createSystemRandom(), lock: createKernelLock() }
  const state = await openStateDirectory(command.stateDir, { make: false })
  const held = await ports.lock.acquire(state.lock, 'controller')
  try {
    const source = await openStore({ kind: 'sqlite' }, state.database, ports)
    try {
      const to = await createPostgresStore({ url: target.url, timers: ports.timers, random: ports.random, limits: copyLimits })
      try {
        const signer = createSigner({ keyFile: state.journalKey, random: ports.random })
        const targetName = storeName(target)
        const copied = await copyState({ source, target: to, signer, clock: ports.clock, targetName, dryRun: command.dryRun })
        return { ...copied, from: state.database, to: targetName }
      } finally {
        await to.close()
      }
    } finally {
      await source.close()
    }
  } finally {
    await held.release()
  }
}
