import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'

/** A host carries out one thing at a time, and most things are short: the end of another one is waited for this long. */
const patienceMs = 15_000
const lookAgainMs = 300

/** Runs a call that needs a free host, again while the host is busy; then throws OPERATION_RUNNING with what it is busy with. */
export async function whileBusy<T>(cli: Pick<Cli, 'clock' | 'timers'>, work: () => Promise<T>): Promise<T> {
  const startedAt = cli.clock.steady()
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const busy = error instanceof CideryError && error.code === 'OPERATION_RUNNING'
      if (!busy || cli.clock.steady() - startedAt > patienceMs) throw error
      await cli.timers.sleep(lookAgainMs)
    }
  }
}
