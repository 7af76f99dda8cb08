import { CideryError } from '../../../model/errors.ts'
import { controllerUrls, createTrust, type Trust, type TrustOptions } from './trust.ts'

/** The controllers of one fleet: any of them serves, so what one cannot answer now is asked of the next. */
export interface Controllers {
  /**
   * Does `work` with the controller that answered last; when that one is away, with the others, each once. Work must be safe to repeat. Throws
   * the last error when all of them are away.
   */
  reach<T>(work: (trust: Trust) => Promise<T>, signal?: AbortSignal): Promise<T>
  /** Does `work` with each in turn until one does not throw NOT_FOUND or is away; for what only one of them has. */
  search<T>(work: (trust: Trust) => Promise<T>): Promise<T>
  close(): void
}

export function createControllers(options: TrustOptions): Controllers {
  const trusts = controllerUrls(options).map((url) => createTrust({ ...options, url: url.href }))
  let present = 0

  async function inTurn<T>(work: (trust: Trust) => Promise<T>, goesOn: (error: unknown) => boolean): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      const at = present
      try {
        return await work(trusts[at] as Trust)
      } catch (error) {
        if (!goesOn(error)) throw error
        // Another request may have moved on already.
        if (present === at) present = (at + 1) % trusts.length
        if (tried >= trusts.length) throw error
      }
    }
  }

  return {
    reach: (work, signal) => inTurn(work, (error) => signal?.aborted !== true && isAway(error)),
    search: (work) => inTurn(work, (error) => isAway(error) || (error instanceof CideryError && error.code === 'NOT_FOUND')),
    close: () => {
      for (const trust of trusts) trust.close()
    },
  }
}

/** A stranger at one address must not keep an agent from the controller at another. */
function isAway(error: unknown): boolean {
  if (!(error instanceof CideryError)) return false
  return error.code === 'UNREACHABLE' || error.code === 'UNAVAILABLE' || error.details?.['pinned'] !== undefined
}
