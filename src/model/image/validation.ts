import { z } from 'zod'
import { duration } from '../quantity.ts'

/** A command whose end and output say whether an image is good. */
export const ImageCheck = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(/^[^\n]+$/, 'one line'),
  run: z.string().min(1).max(10_000),
  as: z.enum(['root', 'user']).default('user'),
  exitCode: z.int().min(0).max(255).default(0),
  /** Must be in what it prints, both streams. */
  contains: z.string().min(1).max(1000).optional(),
  timeout: duration('1m'),
})
export type ImageCheck = z.infer<typeof ImageCheck>

/** What is looked at in a fresh sandbox of a build, before it becomes the image. */
export const Validation = z.strictObject({
  checks: z.array(ImageCheck).max(200).default([]),
  /** A service that must answer inside the guest, on its own loopback. */
  health: z
    .strictObject({
      port: z.int().min(1).max(65_535),
      path: z
        .string()
        .regex(/^\/\S{0,200}$/, 'a path that starts with /')
        .default('/health'),
      status: z.int().min(100).max(599).default(200),
      timeout: duration('1m'),
    })
    .optional(),
})
export type Validation = z.infer<typeof Validation>

/** Checks that are repeated, each round in a sandbox of its own: what passes once may still be flaky. */
export const Flakiness = z.strictObject({
  rounds: z.int().min(1).max(50).default(3),
  /** Share of rounds that must pass whole. */
  threshold: z.number().min(0).max(1).default(0.8),
  /** Default: those of the validation. */
  checks: z.array(ImageCheck).min(1).max(200).optional(),
})
export type Flakiness = z.infer<typeof Flakiness>

export interface FlakinessVerdict {
  readonly passedRounds: number
  readonly rounds: number
  /** Of each check, by name: in how many rounds it passed. */
  readonly passes: ReadonlyMap<string, number>
  readonly promoted: boolean
}

/**
 * Judges rounds of checks. A round passes when all of its checks did; a round that is not there, because its sandbox never came, failed.
 *
 * @example judgeFlakiness({ rounds: 3, threshold: 0.8 }, [...]) // two of three passed: 0.67 is below 0.8, not promoted
 */
export function judgeFlakiness(
  { rounds, threshold }: Pick<Flakiness, 'rounds' | 'threshold'>,
  results: readonly ReadonlyMap<string, boolean>[],
): FlakinessVerdict {
  const passes = new Map<string, number>()
  let passedRounds = 0
  for (const result of results.slice(0, rounds)) {
    for (const [check, passed] of result) passes.set(check, (passes.get(check) ?? 0) + (passed ? 1 : 0))
    if (result.size > 0 && [...result.values()].every(Boolean)) passedRounds += 1
  }
  return { passedRounds, rounds, passes, promoted: passedRounds / rounds >= threshold }
}
