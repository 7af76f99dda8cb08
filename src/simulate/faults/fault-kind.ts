import type { z } from 'zod'
import type { Milliseconds } from '../../model/instant.ts'
import type { Random } from '../../ports/random.ts'
import type { SimulatedFleet } from '../fleet-parts.ts'

export interface FaultBase {
  readonly kind: string
  /** Milliseconds after the start. */
  readonly at: Milliseconds
  /** How long it holds; without it the fault is over at once. */
  readonly for?: Milliseconds | undefined
}

/** What chance draws for. */
export interface Drawing {
  /** A host's name, or '' for the fleet. */
  readonly target: string
  readonly controllers: number
  readonly jobs: readonly { readonly key: string; readonly at: Milliseconds }[]
}

/** One kind of thing that goes wrong: how it is written in a script, how often chance brings it, and what it does to the fleet. */
export interface FaultKind<T extends FaultBase = FaultBase> {
  readonly kind: string
  readonly schema: z.ZodType<T>
  /** How often a day chance brings it: to each host, or to the fleet. */
  readonly perDay: number
  readonly per: 'host' | 'fleet'
  /** Draws what chance brings at a moment; null: it finds nothing to strike. */
  draw(random: Random, at: Milliseconds, about: Drawing): T | null
  /** What it is, for the journal: a clause. */
  words(fault: T): string
  begin(fleet: SimulatedFleet, fault: T): void
  /** After `for`. */
  end?(fleet: SimulatedFleet, fault: T): void
}
