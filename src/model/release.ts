import { z } from 'zod'

/** Machines that a release is made for, as `<os>-<arch>` of Node. */
export const releasePlatforms = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64'] as const
export const ReleasePlatform = z.enum(releasePlatforms)
export type ReleasePlatform = z.infer<typeof ReleasePlatform>

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/)
/** `1.2.3`, `1.2.3-rc.1`: also a part of a folder's name. */
const Version = z.string().regex(/^\d{1,9}\.\d{1,9}\.\d{1,9}(?:-[0-9A-Za-z.-]{1,50})?$/)

/** Path of a file below the release's folder: no way out, no hidden meaning. */
const ReleasePath = z
  .string()
  .min(1)
  .max(500)
  .refine((path) => !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..'))

/**
 * `manifest.json`, the first file of a release's archive: what the release is, and every other file of it. Its own SHA-256 names the release: two
 * releases with the same one are the same to the last byte.
 */
export const ReleaseManifest = z.strictObject({
  format: z.literal(1),
  version: Version,
  /** Source commit that it was built from, `-dirty` behind it when the sources differed; null: not built from a repository. */
  commit: z.string().max(100).nullable(),
  platform: ReleasePlatform,
  /** Version of the Node inside. */
  node: z.string().max(50),
  files: z
    .record(ReleasePath, z.strictObject({ sha256: Sha256, sizeBytes: z.int().nonnegative(), executable: z.boolean() }))
    .refine((files) => Object.keys(files).length <= 20_000),
})
export type ReleaseManifest = z.infer<typeof ReleaseManifest>

/** What an agent says of the program that it is. */
export const AgentRelease = z.strictObject({
  commit: z.string().max(100).nullable(),
  /** Folder that it runs from. */
  path: z.string().max(4096),
  /** SHA-256 of its manifest; null: not from a release's archive. */
  sha256: Sha256.nullable(),
  /** The operation that brought it, once it counts; null: a person did. */
  operation: z.string().max(100).nullable(),
})
export type AgentRelease = z.infer<typeof AgentRelease>

/** Request to put another release in place of the one that runs. */
export const UpgradeRequest = z.strictObject({
  kind: z.literal('upgradeAgent'),
  /** SHA-256 of the archive, which the controller has. */
  blob: Sha256,
  sizeBytes: z.int().positive(),
  version: Version,
  /** SHA-256 of its manifest. */
  release: Sha256,
  allowDowngrade: z.boolean(),
  /** Seconds that the new one has to be in sync with the controller; then the old one goes on. */
  deadlineS: z.int().min(10).max(3600),
})
export type UpgradeRequest = z.infer<typeof UpgradeRequest>

/**
 * Order of two versions, as semver has it: negative when `a` is older.
 *
 * @example compareVersions('1.10.0-rc.2', '1.10.0') // -1
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  return compareLists(left.numbers, right.numbers) || comparePreReleases(left.pre, right.pre)
}

function parts(version: string): { readonly numbers: readonly string[]; readonly pre: readonly string[] } {
  const dash = version.indexOf('-')
  const numbers = dash === -1 ? version : version.slice(0, dash)
  return { numbers: numbers.split('.'), pre: dash === -1 ? [] : version.slice(dash + 1).split('.') }
}

/** A version that is still being made is older than the one that it becomes. */
function comparePreReleases(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return b.length - a.length
  return compareLists(a, b)
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (const [at, word] of a.entries()) {
    const other = b[at]
    if (other === undefined) return 1
    const order = compareWords(word, other)
    if (order !== 0) return order
  }
  return a.length - b.length
}

/** Numbers by their value and before words; words by their letters. */
function compareWords(a: string, b: string): number {
  const [left, right] = [numberOf(a), numberOf(b)]
  if (left !== null && right !== null) return left - right
  if (left !== null || right !== null) return left === null ? 1 : -1
  return a === b ? 0 : a < b ? -1 : 1
}

function numberOf(word: string): number | null {
  return /^\d+$/.test(word) ? Number(word) : null
}
