/** Those who want to look again after a commit. A listener that throws does not keep the others from hearing. */
export class Listeners {
  readonly #listeners = new Set<() => void>()

  add(listener: () => void): () => void {
    // Wrapped, so that the same function registered twice is two registrations.
    const entry = (): void => listener()
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  call(): void {
    for (const listener of this.#listeners) {
      // Out of the way of the writer, whose commit is done whatever the listener does.
      queueMicrotask(listener)
    }
  }

  get size(): number {
    return this.#listeners.size
  }
}
