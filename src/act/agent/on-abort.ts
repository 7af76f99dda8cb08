/** Those who wait, by the signal that they listen to. */
const waiting = new WeakMap<AbortSignal, (() => void)[]>()

function nothing(): void {
  // There is nothing to stop.
}

/**
 * Calls back when a signal is aborted; at once when it is already. Returns how to stop.
 *
 * For signals that live as long as the agent, and listeners that come and go with every look and poll: a signal gets one listener of its own for all of
 * them. A signal links those that it has, and one that was removed still points to the next, as the tables of a `Set` do: each would keep alive all that
 * came after it, until the next full collection.
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener()
    return nothing
  }
  const listeners = waiting.get(signal) ?? listenersOf(signal)
  listeners.push(listener)
  return () => {
    const at = listeners.indexOf(listener)
    if (at >= 0) listeners.splice(at, 1)
  }
}

function listenersOf(signal: AbortSignal): (() => void)[] {
  const listeners: (() => void)[] = []
  waiting.set(signal, listeners)
  signal.addEventListener('abort', () => listeners.splice(0).forEach((listener) => listener()), { once: true })
  return listeners
}
