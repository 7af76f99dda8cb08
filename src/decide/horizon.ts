import type { Instant } from '../model/instant.ts'

/** Collects the moments at which time alone changes an answer; the first one is when to decide again. */
export interface Horizon {
  /** Notes a moment; those that are not after `now` are past and change nothing. */
  note(at: Instant): void
  first(): Instant | null
}

export function createHorizon(now: Instant): Horizon {
  let first = Number.POSITIVE_INFINITY
  return {
    note(at) {
      if (at > now && at < first) first = at
    },
    first: () => (Number.isFinite(first) ? Math.ceil(first) : null),
  }
}
