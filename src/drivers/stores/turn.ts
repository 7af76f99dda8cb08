/** Lets one piece of work at a time through, in the order of asking. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work)
    this.#last = mine.catch(() => {
      // Who asked gets the error; the next in line only waits for the end.
    })
    return mine
  }
}
