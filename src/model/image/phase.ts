import { z } from 'zod'

/** What a build does, in this order; a phase that has nothing to do is left out. */
export const buildPhases = ['pull', 'clone', 'boot', 'bootstrap', 'validate', 'seal', 'prove', 'push'] as const
export type BuildPhase = (typeof buildPhases)[number]

/** One phase of a build, of the try that it is in. */
export const PhaseProgress = z.strictObject({
  phase: z.enum(buildPhases),
  /** Which try of the build; the first is 1. */
  attempt: z.int().positive(),
  /** Epoch ms. */
  startedAt: z.number(),
  endedAt: z.number().nullable(),
  /** What it is at: the name of a step or check; empty when there is nothing to say. */
  at: z.string().max(300),
  /** Bytes of a transfer, or steps and checks; `total` is null until it is known. */
  done: z.number(),
  total: z.number().nullable(),
  unit: z.enum(['bytes', 'steps']),
})
export type PhaseProgress = z.infer<typeof PhaseProgress>

/** 0…100, rounded down; null when nobody knows how much there is. */
export function percentOf({ done, total }: Pick<PhaseProgress, 'done' | 'total'>): number | null {
  return total === null ? null : total === 0 ? 100 : Math.floor(Math.min(1, done / total) * 100)
}
