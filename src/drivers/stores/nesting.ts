import { AsyncLocalStorage } from 'node:async_hooks'
import { CideryError } from '../../model/errors.ts'

/**
 * Refuses a read or write from inside another. It would wait for itself on one store and see another state than its own transaction
 * on the other, so it is a bug on both.
 */
export class Nesting {
  readonly #inside = new AsyncLocalStorage<{ over: boolean }>()

  guard<A extends unknown[], T>(work: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
    if (this.#inside.getStore()?.over === false) {
      throw new CideryError('INTERNAL', 'a store was read or written from inside a transaction on it', {
        hint: 'use the handle that the closure was given',
      })
    }
    // Many callers' closures run in one loop: each keeps the context it was made in.
    const inContext = AsyncLocalStorage.snapshot()
    return (...args) => {
      // What a closure starts and leaves behind inherits its context, and may use the store once the closure is over.
      const visit = { over: false }
      return inContext(() => this.#inside.run(visit, () => work(...args))).finally(() => {
        visit.over = true
      })
    }
  }
}
