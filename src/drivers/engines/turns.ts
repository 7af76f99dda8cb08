/** One thing at a time for each sandbox: two calls for one at once end as if they came one after the other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Ids for which something is under way. */
  busy(): readonly string[] {
    return [...this.#last.keys()]
  }

  take<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(id) ?? Promise.resolve()
    const turn: Promise<T> = before
      // The failure was the caller's; whoever comes next gets a turn of its own.
      .catch(() => undefined)
      .then(work)
      .finally(() => {
        if (this.#last.get(id) === turn) this.#last.delete(id)
      })
    this.#last.set(id, turn)
    return turn
  }
}
