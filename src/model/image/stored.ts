import { z } from 'zod'
import { Name } from '../id.ts'
import { EngineName } from '../job.ts'
import { Labels } from '../shape.ts'

/** Names a build on a host, in engines and in their sandboxes: `bld_…` of a build, or a name that the operator gave in `agent.yaml`. */
export const StoredImageId = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,79}$/,
    'use 1–80 lower-case letters, digits, dots, dashes and underscores, starting with a letter or digit',
  )

/** A tool that was found in a build, and what the recipe had asked for. */
export const FoundTool = z.strictObject({ name: z.string(), version: z.string(), demand: z.string() })
export type FoundTool = z.infer<typeof FoundTool>

/** What a build says of itself, written when it is sealed and never changed: it goes with its bytes to every registry and host. */
export const ImageMetadata = z.looseObject({
  build: StoredImageId,
  /** The line of images that it belongs to; null for a base that no recipe names. */
  image: Name.nullable(),
  /** Unique per build, by the line's template of names. */
  name: z.string().max(200),
  engine: EngineName,
  /** `version` is what people call it; `hash` covers all that goes in; `layers` are the identities of its layers, the lowest first. */
  recipe: z.strictObject({ version: z.string(), hash: z.string(), layers: z.array(z.string()) }).nullable(),
  /** What the recipe was built on: its reference or suite, and the digest that this had. */
  base: z.strictObject({ reference: z.string(), digest: z.string().nullable() }).nullable(),
  /** Version of the product that the image is for, where the line asks for one. */
  productVersion: z.string().nullable(),
  guest: z.strictObject({ os: z.string(), release: z.string(), arch: z.enum(['x64', 'arm64']) }),
  /** Epoch ms. */
  builtAt: z.number(),
  /** Name of the host that built it. */
  builtOn: z.string(),
  tools: z.array(FoundTool),
  labels: Labels,
})
export type ImageMetadata = z.infer<typeof ImageMetadata>

/** A build that is whole on a host. */
export const StoredImage = z.strictObject({
  id: StoredImageId,
  engine: EngineName,
  /** Null for an image that the operator put there and that says nothing of itself. */
  metadata: ImageMetadata.nullable(),
  /** Where it came from or was sent to, with the digest of its manifest; null while it is on this host only. */
  reference: z.string().nullable(),
  /** Bytes that it takes on the disk. */
  sizeBytes: z.number(),
  /** Epoch ms. */
  storedAt: z.number(),
  /** When a sandbox was last made of it; epoch ms, `storedAt` until then. */
  lastUsedAt: z.number(),
  /** Sandboxes that are clones of it now. */
  users: z.array(z.string()),
  /** What is wrong with it; empty as far as is known. */
  problems: z.array(z.string()),
})
export type StoredImage = z.infer<typeof StoredImage>
