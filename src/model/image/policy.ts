import { z } from 'zod'
import { CideryError } from '../errors.ts'
import { Name } from '../id.ts'
import { duration, DurationText, SizeText } from '../quantity.ts'
import { CronText, ZoneName } from '../schedule.ts'
import { defaultNameTemplate, NameTemplate } from './name.ts'
import { versionSources } from './project.ts'
import { RecipeVersion } from './recipe.ts'
import { parseImageReference } from './reference.ts'

/** When something may be done: from each due moment of the line on, for a while. */
export const MaintenanceWindow = z.strictObject({ start: CronText, for: DurationText })
export type MaintenanceWindow = z.infer<typeof MaintenanceWindow>

/** `ghcr.io/acme/macos-15`: where builds go and come from; which one is said by tag and digest. */
const RegistryText = z.string().transform((text, context) => {
  const message = registryProblem(text)
  if (message === null) return text
  context.addIssue({ code: 'custom', message })
  return z.NEVER
})

function registryProblem(text: string): string | null {
  try {
    const { tag, digest } = parseImageReference(text)
    return tag === null && digest === null
      ? null
      : 'a repository without tag and digest, such as ghcr.io/acme/macos-15: each build has its own'
  } catch (error) {
    if (error instanceof CideryError) return error.message
    throw error
  }
}

/** How a line of images is built, kept and brought to its hosts. Every field may be left out. */
export const imagePolicy = {
  /** File of the recipe, below the folder of `cidery.yaml`. Without one, nothing is built. */
  recipe: z.string().min(1).max(500).optional(),
  registry: RegistryText.optional(),
  /** Of the images on hosts, and of tags. */
  name: NameTemplate.prefault(defaultNameTemplate),
  /** Where the version of the project is read for the name, in this order; the first place that has one. */
  versionFrom: z
    .array(z.enum(versionSources))
    .min(1)
    .refine((order) => new Set(order).size === order.length, 'each place once')
    .default([...versionSources]),
  /** Builds anew when something changed; without one, only when somebody asks. */
  schedule: z
    .strictObject({
      /** Default: 02:00 every day. */
      cron: CronText.prefault('0 2 * * *'),
      timezone: ZoneName.default('UTC'),
      /** When hosts may take a new build; default: always. In the same zone. */
      windows: z.array(MaintenanceWindow).max(20).default([]),
    })
    .optional(),
  /** Version that a recipe must have for its builds to be ready. */
  required: RecipeVersion.optional(),
  /** Builds that nothing uses are kept while they are younger than `age`, or among the `count` newest. */
  retention: z.strictObject({ age: duration('7d'), count: z.int().min(1).max(1000).default(3) }).prefault({}),
  rollout: z
    .strictObject({
      /** Hosts that fetch a new build at once. */
      wave: z.int().positive().max(1000).default(2),
      /** Bytes per second of all fetches of a build together; default: what the network gives. */
      bandwidth: SizeText.optional(),
      /** Part of the hosts that could run it that must have a new build, proved ready, before jobs get it. */
      share: z.number().positive().max(1).default(0.5),
    })
    .prefault({}),
  /** Some jobs get a new build before all others do: those on some hosts, or a part of all. */
  canary: z
    .strictObject({
      /** By name: all jobs of the image there. */
      hosts: z.array(Name).min(1).max(1000).optional(),
      /** Part of the image's jobs, wherever they run. */
      share: z.number().positive().max(1).optional(),
      /** How much larger the part of their attempts that fail by a fault of the infrastructure may be than that of the others: 0.05 is five of a hundred more. */
      threshold: z.number().min(0).max(1).default(0.05),
      /** Attempts that must have ended on the new build before anything is said of it. */
      jobs: z.int().min(1).max(100_000).default(10),
    })
    .refine(({ hosts, share }) => (hosts === undefined) !== (share === undefined), 'hosts by name, or a share of the jobs, not both')
    .optional(),
  /** A promoted build that is older is told of. */
  maxAge: DurationText.optional(),
  /** Of one build with all its tries; default: what the recipe says. */
  buildTimeout: DurationText.optional(),
} as const

/**
 * Sorts by a wish for some names: those in the order of the wish, then all others as they were. Which image is built first, and which host or image is taken where all else is even.
 *
 * @example byPreference(['macos-14', 'macos-13'], (name) => name)(['macos-13', 'macos-15', 'macos-14']) // ['macos-14', 'macos-13', 'macos-15']
 */
export function byPreference<T>(prefer: readonly string[], nameOf: (thing: T) => string): (things: readonly T[]) => readonly T[] {
  const place = (thing: T) => {
    const index = prefer.indexOf(nameOf(thing))
    return index < 0 ? prefer.length : index
  }
  return (things) => [...things].sort((one, other) => place(one) - place(other))
}
