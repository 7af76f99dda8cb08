import { z } from 'zod'
import { pageOf, WaitingView } from './api.ts'
import { Name } from './id.ts'
import { buildStates } from './image/build.ts'
import { PhaseProgress } from './image/phase.ts'
import { ImageState } from './image/state.ts'
import { ImageMetadata } from './image/stored.ts'
import { BlobDigest, EngineName } from './job.ts'

/** One build of an image. */
export const BuildView = z.strictObject({
  id: z.string(),
  image: z.string(),
  name: z.string(),
  engine: EngineName,
  state: z.enum(buildStates),
  reason: z.string(),
  /** Host that built it; null for one of a registry. */
  hostId: z.string().nullable(),
  identity: z.string().nullable(),
  recipeVersion: z.string().nullable(),
  reference: z.string().nullable(),
  metadata: ImageMetadata.nullable(),
  sizeBytes: z.number().nullable(),
  phases: z.array(PhaseProgress),
  flakiness: z
    .strictObject({ passedRounds: z.int(), rounds: z.int(), passes: z.record(z.string(), z.int()), promoted: z.boolean() })
    .nullable(),
  fromBase: z.boolean(),
  requestedBy: z.string(),
  pinnedBy: z.string().nullable(),
  cancelledBy: z.string().nullable(),
  pushSkipped: z.string(),
  createdAt: z.number(),
  endedAt: z.number().nullable(),
  promotedAt: z.number().nullable(),
  logBytes: z.number(),
  generation: z.int(),
})
export type BuildView = z.infer<typeof BuildView>
export const BuildList = pageOf(BuildView)

const Arms = z.strictObject({ canary: z.int(), control: z.int() })
const Result = z.strictObject({ jobs: z.int(), failures: z.int() })

/** A line of images that cidery builds or fetches. */
export const ImageView = z.strictObject({
  name: z.string(),
  engine: EngineName,
  generation: z.int(),
  recipe: z
    .strictObject({ generation: z.int(), version: z.string(), identity: z.string().nullable(), baseImage: z.string().nullable() })
    .nullable(),
  /** Version that the spec demands of recipes. */
  required: z.string().nullable(),
  promoted: BuildView.nullable(),
  lastGood: BuildView.nullable(),
  underWay: BuildView.nullable(),
  canary: z
    .strictObject({
      build: z.string(),
      startedAt: z.number(),
      assigned: Arms,
      ended: z.strictObject({ canary: Result, control: Result }),
    })
    .nullable(),
  asked: z.strictObject({ by: z.string(), at: z.number(), fromBase: z.boolean() }).nullable(),
  failure: z.strictObject({ count: z.int(), at: z.number(), reason: z.string(), retry: z.enum(['soon', 'never']) }).nullable(),
  /** Milliseconds since the promoted build was made. */
  age: z.number().nullable(),
  waiting: z.array(WaitingView),
})
export type ImageView = z.infer<typeof ImageView>
export const ImageList = z.strictObject({ items: z.array(ImageView), nextCursor: z.null() })
export const ImageStateList = z.strictObject({ items: z.array(ImageState), nextCursor: z.null() })

const Hash = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex')

const FileDigest = z
  .string()
  .regex(/^(?:file|program|folder|link):[0-9a-f]{64}$/, 'file, program, folder or link, a colon and a SHA-256 in lower-case hex')

/** A recipe with all that it names, as `cidery apply` read it. */
export const RecipePut = z.strictObject({
  /** As people write it; checked by the controller as well. */
  recipe: z.record(z.string(), z.unknown()),
  /** Digests of the recipe's files and folders by path, as `observe/recipe-files.ts` makes them. */
  digests: z.record(z.string().max(500), FileDigest).default({}),
  /** Blob of the archive (tar) of these files, uploaded before; null when there are none. */
  files: BlobDigest.nullable().default(null),
  lock: z
    .strictObject({
      base: z.string().max(200).nullable().default(null),
      downloads: z.record(z.string().max(2000), Hash).default({}),
      packages: z.record(z.string().max(200), z.string().max(200)).default({}),
    })
    .prefault({}),
  productVersion: z.string().max(100).nullable().default(null),
})

export const BuildRequest = z.strictObject({
  /** Start from the base, and use nothing that an earlier build left. */
  fromBase: z.boolean().default(false),
})
/** A build that a registry has already. */
export const AdoptRequest = z.strictObject({
  /** `host/path@sha256:…`. */
  reference: z.string().max(500),
  /** Unique; default: the line's name with the first digits of the digest. */
  name: z.string().min(1).max(200).optional(),
  metadata: ImageMetadata.nullable().default(null),
  sizeBytes: z.number().positive().nullable().default(null),
})
export const PromoteRequest = z.strictObject({ build: z.string().min(1).max(200) })
export const RollBackRequest = z.strictObject({ reason: z.string().max(500).default('') })
export const PinRequest = z.strictObject({ pinned: z.boolean() })
export const ForceRequest = z.strictObject({
  ready: z.boolean(),
  reason: z.string().min(1).max(500).optional(),
  /** Seconds until what was seen counts again; left out: until somebody clears it. */
  ttlS: z.int().min(1).max(31_536_000).optional(),
})

export const ImageParams = z.strictObject({ name: Name })
export const BuildParams = z.strictObject({ id: z.string().min(1).max(200) })
export const HostImageParams = z.strictObject({ id: z.string().min(1).max(100), name: Name })
