import { z } from 'zod'
import type { Instant, Milliseconds } from './instant.ts'
import { EngineName } from './job.ts'

/** One look at something, and when it was taken. */
export const Proof = z.strictObject({ ok: z.boolean(), at: z.number(), reason: z.string().max(500) })
export type Proof = z.infer<typeof Proof>

/**
 * What is known of whether a host can start a job of an image now. `check` is cheap and frequent; `boot` is the last real
 * start of a sandbox, by a job or by a probe. `image` is null for engines without images.
 */
export const Readiness = z.strictObject({
  engine: EngineName,
  image: z.string().nullable(),
  check: Proof.nullable(),
  boot: Proof.nullable(),
})
export type Readiness = z.infer<typeof Readiness>

export const readinessStates = ['ready', 'notReady', 'unknown'] as const
export type ReadinessState = (typeof readinessStates)[number]

export type ReadinessVerdict =
  | { readonly state: 'ready' }
  | { readonly state: 'notReady'; readonly reason: string }
  | { readonly state: 'unknown'; readonly reason: string }

export interface ReadinessLimits {
  readonly checkMaxAge: Milliseconds
  readonly bootProofMaxAge: Milliseconds
}

/** Judges a readiness at a moment: a proof that is too old, or from the future by more than its limit, is `unknown`, never ready. */
export function judgeReadiness(readiness: Readiness | undefined, limits: ReadinessLimits, now: Instant): ReadinessVerdict {
  if (readiness === undefined) return { state: 'unknown', reason: 'never probed' }
  const looks = [
    ['check', readiness.check, limits.checkMaxAge],
    ['boot proof', readiness.boot, limits.bootProofMaxAge],
  ] as const
  for (const [name, proof, maxAge] of looks) {
    if (proof === null) return { state: 'unknown', reason: `no ${name} yet` }
    const age = now - proof.at
    if (age > maxAge || age < -maxAge) return { state: 'unknown', reason: `the ${name} is too old` }
    if (!proof.ok) return { state: 'notReady', reason: proof.reason }
  }
  return { state: 'ready' }
}
