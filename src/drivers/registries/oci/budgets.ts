import { CideryError } from '../../../model/errors.ts'
import { minute, type Milliseconds } from '../../../model/instant.ts'
import type { RegistryParts } from '../make-registry.ts'

/**
 * What one registry lets us ask. Everything that asks it passes here, so that when one request is told to wait, all wait: parallel layers would else
 * each find out by themselves that they are too many.
 */
export interface Budget {
  /** Resolves when the registry may be asked. TOO_MANY_REQUESTS when that is too far away to wait for. */
  turn(signal: AbortSignal): Promise<void>
  /** Nobody asks before so much time passed. */
  pause(ms: Milliseconds): void
}

const longestPauseMs = 5 * minute
/** They do not come back all at once. */
const spread = 0.1
const longestSpreadMs = 5000

export function createBudget(registry: string, { clock, timers, random }: RegistryParts): Budget {
  let until = 0

  function left(): Milliseconds {
    return until - clock.steady()
  }

  return {
    async turn(signal) {
      signal.throwIfAborted()
      for (let ms = left(); ms > 0; ms = left()) {
        if (ms > longestPauseMs) {
          throw new CideryError('TOO_MANY_REQUESTS', `${registry} wants no request for another ${Math.ceil(ms / 1000)} s`, {
            hint: 'that is longer than is waited for: try again later, or ask with credentials that have a higher limit',
            details: { registry, retryAfterMs: ms },
          })
        }
        await timers.sleep(ms + random.fraction() * Math.min(longestSpreadMs, ms * spread), signal)
      }
    },
    pause(ms) {
      until = Math.max(until, clock.steady() + ms)
    },
  }
}
