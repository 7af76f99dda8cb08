import { CideryError } from '../../../model/errors.ts'
import { minute, second, type Milliseconds } from '../../../model/instant.ts'
import type { RegistryParts } from '../make-registry.ts'
import type { Budget } from './budgets.ts'
import { Passing } from './passing.ts'

/** One undertaking that may need several tries: reading a blob, sending a manifest. */
export interface Tries {
  /** Waits until the next try. Throws what is no passing failure as it is; after too many in a row UNAVAILABLE or TOO_MANY_REQUESTS. */
  failed(error: unknown): Promise<void>
  /** It got further: what failed before counts no more. */
  progressed(): void
}

export interface TriesOptions {
  /** The host for messages. */
  readonly registry: string
  /** `read the manifest latest of acme/macos`. */
  readonly what: string
  readonly budget: Budget
  readonly tries: number
  readonly longestMs: Milliseconds
  readonly signal: AbortSignal
}

const pauses = { broken: { first: second / 2, longest: 30 * second }, limited: { first: 5 * second, longest: minute } } as const

export function createTries(options: TriesOptions, { clock, timers, random }: RegistryParts): Tries {
  let failures: Passing[] = []
  let since = 0

  /** Doubling, and between half of it and all of it by chance, so that many do not come back in step. */
  function pauseAfter(failure: Passing): Milliseconds {
    // Some say 0 and mean it as little as those who say nothing.
    if (failure.afterMs !== null) return Math.max(failure.limited ? second : 0, failure.afterMs)
    const { first, longest } = pauses[failure.limited ? 'limited' : 'broken']
    return Math.min(longest, first * 2 ** Math.min(20, failures.length - 1)) * (0.5 + random.fraction() / 2)
  }

  return {
    async failed(error) {
      if (!(error instanceof Passing)) throw error
      if (failures.length === 0) since = clock.steady()
      failures.push(error)
      const pause = pauseAfter(error)
      if (error.limited) options.budget.pause(pause)
      const passed = clock.steady() - since
      if (failures.length >= options.tries || passed + pause >= options.longestMs) throw givenUp(options, failures, passed)
      // Who has to wait because of a limit waits with all the others, at the budget.
      if (!error.limited) await timers.sleep(pause, options.signal)
    },
    progressed() {
      failures = []
    },
  }
}

/** Does one thing until it succeeds or its tries are used up. */
export async function persist<T>(tries: Tries, work: (tried: number) => Promise<T>): Promise<T> {
  for (let tried = 0; ; tried += 1) {
    try {
      return await work(tried)
    } catch (error) {
      await tries.failed(error)
    }
  }
}

function givenUp({ registry, what }: TriesOptions, failures: readonly Passing[], passed: Milliseconds): CideryError {
  const last = failures.at(-1)
  const counts = new Map<string, number>()
  for (const { message } of failures) counts.set(message, (counts.get(message) ?? 0) + 1)
  const reasons = [...counts].map(([message, count]) => (count === 1 ? message : `${message} (${count} times)`))
  return new CideryError(
    last?.limited === true ? 'TOO_MANY_REQUESTS' : 'UNAVAILABLE',
    `could not ${what} at ${registry} in ${failures.length} tries within ${Math.round(passed / 1000)} s: ${reasons.join('; ')}`,
    { cause: last, details: { registry, tries: failures.length } },
  )
}
