import type { Milliseconds } from '../../../model/instant.ts'

/** A failure that may be over when it is tried again. It never leaves the driver: `Tries` makes a CideryError of it in the end. */
export class Passing extends Error {
  /** The registry asked for fewer requests. */
  readonly limited: boolean
  /** How long it asked to wait; null when it did not say. */
  readonly afterMs: Milliseconds | null

  constructor(
    message: string,
    options: { readonly limited?: boolean; readonly afterMs?: Milliseconds | null; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.limited = options.limited ?? false
    this.afterMs = options.afterMs ?? null
  }
}
