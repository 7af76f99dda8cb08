import { CideryError } from '../errors.ts'

/**
 * Where an image is: `registry` is host or host:port, `repository` the path below it. With a digest, the tag only tells people which build it was.
 */
export interface ImageReference {
  readonly registry: string
  readonly repository: string
  readonly tag: string | null
  /** `sha256:<64 hex>` of the manifest. */
  readonly digest: string | null
}

const hostPattern = /^(?:localhost|[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+|\[[0-9a-f:]+\])(?::\d{1,5})?$/i
const repositoryPattern = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const tagPattern = /^\w[\w.-]{0,127}$/
const digestPattern = /^sha256:[0-9a-f]{64}$/

/**
 * Reads `host[:port]/path[:tag][@sha256:…]`. The registry is always named: there is no default one. INVALID_INPUT says which part cannot be.
 *
 * @example parseImageReference('ghcr.io/cirruslabs/macos-sequoia-base:latest').repository // 'cirruslabs/macos-sequoia-base'
 */
export function parseImageReference(text: string): ImageReference {
  const [named = '', digest = null, ...more] = text.split('@')
  const slash = named.indexOf('/')
  const path = named.slice(slash + 1)
  const colon = path.lastIndexOf(':')
  const reference = {
    registry: named.slice(0, Math.max(0, slash)),
    repository: colon < 0 ? path : path.slice(0, colon),
    tag: colon < 0 ? null : path.slice(colon + 1),
    digest,
  }
  const problem = more.length > 0 ? 'it has more than one @' : problemOf(reference)
  if (problem === null) return reference
  throw new CideryError('INVALID_INPUT', `${JSON.stringify(text.slice(0, 300))} is not the reference of an image: ${problem}`, {
    hint: 'write host/path:tag or host/path@sha256:…, such as ghcr.io/acme/macos-15:latest',
  })
}

function problemOf({ registry, repository, tag, digest }: ImageReference): string | null {
  if (!hostPattern.test(registry)) return `${JSON.stringify(registry)} is not the host of a registry`
  if (!repositoryPattern.test(repository)) {
    return `${JSON.stringify(repository)} is not a repository: lower-case letters and digits, with . _ - and / between`
  }
  if (tag !== null && !tagPattern.test(tag)) return `${JSON.stringify(tag)} is not a tag`
  if (digest !== null && !digestPattern.test(digest)) return `${JSON.stringify(digest)} is not a digest: sha256: and 64 hexadecimal digits`
  return null
}

/** The text that `parseImageReference` reads as the same reference. */
export function formatImageReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`
}
