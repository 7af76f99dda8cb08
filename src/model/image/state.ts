import { z } from 'zod'

/** What is the matter with an image on a host. Codes are API. */
export const imageStateCodes = [
  'building',
  'ready',
  'missing',
  'stale',
  'build_failed',
  'forced',
  'disk_low',
  'retrying',
  'unknown',
] as const
export type ImageStateCode = (typeof imageStateCodes)[number]

/** How a host that needs an image now would come by it: it has it, a registry does, or it is built from layers of an earlier build or from its base. */
export const imageDecisions = ['use_local', 'use_remote', 'build_incremental', 'build_new'] as const

/** An image on a host, as the CI system and people see it. */
export const ImageState = z.strictObject({
  hostId: z.string(),
  hostName: z.string(),
  image: z.string(),
  /** Whether a job of the image may start there now. */
  ready: z.boolean(),
  code: z.enum(imageStateCodes),
  reason: z.string(),
  /** The build that a job would boot there, whether it is there yet or not. */
  build: z.string().nullable(),
  buildName: z.string().nullable(),
  reference: z.string().nullable(),
  /** Of the build, not of the recipe that is in force. */
  recipeVersion: z.string().nullable(),
  productVersion: z.string().nullable(),
  /** Epoch ms. */
  builtAt: z.number().nullable(),
  /** When the host looked last, on the controller's clock; null: never. */
  checkedAt: z.number().nullable(),
  decision: z.enum(imageDecisions),
  why: z.string(),
})
export type ImageState = z.infer<typeof ImageState>

/**
 * What the predecessors of this program published of an image on a host, by key; empty text for what is not known.
 *
 * @example imageKeys(state)['vm-ready-macos-15'] // 'true'
 */
export function imageKeys(state: ImageState): Readonly<Record<string, string>> {
  const time = (at: number | null): string => (at === null ? '' : new Date(at).toISOString())
  const { image } = state
  return {
    [`vm-ready-${image}`]: String(state.ready),
    [`vm-image-${image}`]: state.reference ?? state.build ?? '',
    [`vm-bootstrap-version-${image}`]: state.recipeVersion ?? '',
    [`vm-status-reason-${image}`]: `${state.reason} (${state.code})`,
    [`vm-last-check-${image}`]: time(state.checkedAt),
    [`vm-bun-version-${image}`]: state.productVersion ?? '',
    [`vm-last-updated-${image}`]: time(state.builtAt),
  }
}
