import type { ImageMetadata, StoredImage } from '../../model/image/stored.ts'

/** What a line of images should be now; nulls are not asked for. */
export interface WantedImage {
  readonly image: string
  /** What people call the recipe: compared whole, never by how it begins. */
  readonly recipeVersion: string | null
  /** Everything that goes into the image; where it is known, it decides, and the version only tells people. */
  readonly recipeHash: string | null
  readonly baseDigest: string | null
}

/** What the registry of a line said. */
export type RemoteAnswer =
  /** None is named, or it is not to be asked. */
  | { readonly kind: 'unasked'; readonly why: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** `metadata` is null when the image says nothing of itself. */
  | { readonly kind: 'there'; readonly reference: string; readonly digest: string; readonly metadata: ImageMetadata | null }

type There = Extract<RemoteAnswer, { readonly kind: 'there' }>

export interface ResolveFlags {
  /** Build from the base whatever is there. */
  readonly forceRefresh: boolean
  /** Bring what the registry has, whatever is there. */
  readonly forceRemote: boolean
  /** Take what is on this host although it is not as wanted. */
  readonly noUpdate: boolean
}

export interface ImageQuestion {
  readonly wanted: WantedImage
  /** What the engine has on this host. */
  readonly local: readonly StoredImage[]
  readonly remote: RemoteAnswer
  /** Name of the highest layer of the recipe that is kept on this host; null: none is. */
  readonly keptLayer: string | null
  readonly flags: ResolveFlags
}

/** What to do so that a host has an image, and why. */
export type ImageDecision = { readonly why: string; readonly warnings: readonly string[] } & (
  | { readonly kind: 'useLocal'; readonly build: string }
  | { readonly kind: 'useRemote'; readonly reference: string }
  | { readonly kind: 'buildIncremental'; readonly layer: string }
  | { readonly kind: 'buildNew' }
)

/**
 * Decides where an image comes from: the registry first, then this host, then a build. What the registry has is brought only when its digest is another and it is not older.
 *
 * @example resolveImage({ wanted, local: [], remote: { kind: 'absent' }, keptLayer: null, flags }).kind // 'buildNew'
 */
export function resolveImage(question: ImageQuestion): ImageDecision {
  const { wanted, remote, flags } = question
  if (flags.forceRefresh) return { kind: 'buildNew', why: 'a build from the base was asked for', warnings: [] }
  const own = question.local
    .filter(({ metadata, problems }) => metadata?.image === wanted.image && problems.length === 0)
    .toSorted(compareAge)
  const local = own.find(({ metadata }) => matches(wanted, metadata))
  const warnings = warningsOf(remote)
  const usable = remote.kind === 'there' && (remote.metadata === null || matches(wanted, remote.metadata)) ? remote : null
  const whyRemote = usable === null ? null : whyBring(usable, local, flags.forceRemote)
  if (usable !== null && whyRemote !== null) return { kind: 'useRemote', reference: usable.reference, why: whyRemote, warnings }
  if (local !== undefined) return { kind: 'useLocal', build: local.id, why: whyLocal(local, usable), warnings }
  return updatesOff(own[0], flags, warnings) ?? build(question, own[0], warnings)
}

/** Why what the registry has is brought; null when it is not. */
function whyBring(usable: There, local: StoredImage | undefined, isForced: boolean): string | null {
  if (isForced) return 'what the registry has was asked for'
  if (local === undefined) return 'the registry has it, and this host does not'
  return isNewer(usable, local) ? 'the registry has a newer one' : null
}

function updatesOff(newest: StoredImage | undefined, flags: ResolveFlags, warnings: readonly string[]): ImageDecision | null {
  if (!flags.noUpdate || newest === undefined) return null
  const stale = `it is of recipe version ${newest.metadata?.recipe?.version ?? 'unknown'}, and updates are off`
  return { kind: 'useLocal', build: newest.id, why: 'the newest that this host has', warnings: [...warnings, stale] }
}

function build({ keptLayer, wanted, remote }: ImageQuestion, newest: StoredImage | undefined, warnings: readonly string[]): ImageDecision {
  const missing = remote.kind === 'there' ? 'what the registry has is of another recipe' : 'the registry does not have it'
  const why =
    newest === undefined
      ? `${missing}, and this host has none of ${wanted.image}`
      : `${missing}, and this host has it of recipe version ${newest.metadata?.recipe?.version ?? 'unknown'}`
  return keptLayer === null ? { kind: 'buildNew', why, warnings } : { kind: 'buildIncremental', layer: keptLayer, why, warnings }
}

/** Whether a build is what is wanted, by whole fields: `3.6` is not `3.60`. */
export function matches(wanted: WantedImage, metadata: ImageMetadata | null): boolean {
  if (metadata === null || metadata.image !== wanted.image) return false
  const { recipe, base } = metadata
  if (isOther(wanted.baseDigest, base?.digest)) return false
  if (wanted.recipeHash !== null) return recipe?.hash === wanted.recipeHash
  return wanted.recipeVersion === null || recipe?.version === wanted.recipeVersion
}

/** Whether both are known, and differ. */
function isOther(wanted: string | null, found: string | null | undefined): boolean {
  return wanted !== null && found !== null && found !== undefined && wanted !== found
}

function compareAge(a: StoredImage, b: StoredImage): number {
  return (b.metadata?.builtAt ?? 0) - (a.metadata?.builtAt ?? 0) || (a.id < b.id ? -1 : 1)
}

function isNewer({ digest, metadata }: There, local: StoredImage): boolean {
  if (local.reference?.endsWith(`@${digest}`) === true) return false
  return metadata === null || metadata.builtAt > (local.metadata?.builtAt ?? 0)
}

function whyLocal({ reference }: StoredImage, usable: There | null): string {
  if (usable === null) return 'this host has it'
  return reference?.endsWith(`@${usable.digest}`) === true
    ? 'this host has the same digest as the registry'
    : 'this host has a newer one than the registry'
}

function warningsOf(remote: RemoteAnswer): readonly string[] {
  switch (remote.kind) {
    case 'there':
      return []
    case 'absent':
      return ['the registry does not have it']
    case 'unasked':
      return [remote.why]
    case 'unreachable':
      return [`the registry could not be asked: ${remote.reason}`]
  }
}
