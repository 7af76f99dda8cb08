/** Those who want to hear of something. A listener that throws does not keep the others from hearing. */
export class Listeners<A extends unknown[] = []> {
  readonly #listeners = new Set<(...about: A) => void>()

  add(listener: (...about: A) => void): () => void {
    // Wrapped, so that the same function registered twice is two registrations.
    const entry = (...about: A): void => listener(...about)
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  call(...about: A): void {
    for (const listener of this.#listeners) {
      // Out of the way of the writer, whose commit is done whatever the listener does.
      queueMicrotask(() => listener(...about))
    }
  }

  get size(): number {
    return this.#listeners.size
  }
}
