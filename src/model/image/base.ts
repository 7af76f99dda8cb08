import { z } from 'zod'
import { CideryError } from '../errors.ts'
import { Name } from '../id.ts'
import { debianReleases } from './guest.ts'
import { parseImageReference } from './reference.ts'

const suites = Object.values(debianReleases) as [string, ...string[]]

const ReferenceText = z.string().transform((text, context) => {
  try {
    parseImageReference(text)
    return text
  } catch (error) {
    if (!(error instanceof CideryError)) throw error
    context.addIssue({ code: 'custom', message: `${error.message}; ${error.hint ?? ''}` })
    return z.NEVER
  }
})

const HttpUrl = z.url({ protocol: /^https?$/, error: 'an https URL (http only to this machine)' })

const BaseFields = z.strictObject({
  /** An image in a registry: `ghcr.io/cirruslabs/macos-sequoia-vanilla:latest`. Its digest is in the lock. */
  oci: ReferenceText.optional(),
  /** Apple's restore image; `sha256` of its bytes. Engine tart. */
  ipsw: z.union([HttpUrl, z.string().regex(/^\/[^\0\n]+$/, 'a URL or an absolute path on the host that builds')]).optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits in lower case')
    .optional(),
  /** A suite of Debian, bootstrapped from its packages. Engine qemu. */
  debian: z.enum(suites).optional(),
  mirror: HttpUrl.optional(),
  /** The newest build of another recipe. */
  image: Name.optional(),
})
type BaseFields = z.infer<typeof BaseFields>

const baseKinds = ['oci', 'ipsw', 'debian', 'image'] as const

export type Base =
  | { readonly kind: 'oci'; readonly reference: string }
  | { readonly kind: 'ipsw'; readonly source: string; readonly sha256: string }
  | { readonly kind: 'debian'; readonly suite: string; readonly mirror: string | null }
  | { readonly kind: 'image'; readonly image: string }

function baseOf({ oci, ipsw, sha256, debian, mirror, image }: BaseFields): Base | undefined {
  if (oci !== undefined) return { kind: 'oci', reference: oci }
  if (ipsw !== undefined && sha256 !== undefined) return { kind: 'ipsw', source: ipsw, sha256 }
  if (debian !== undefined) return { kind: 'debian', suite: debian, mirror: mirror ?? null }
  return image === undefined ? undefined : { kind: 'image', image }
}

/** What a build starts from: exactly one of these. */
export const Base = BaseFields.transform((fields, context): Base => {
  // A mistyped field is told of already.
  if (context.issues.length > 0) return z.NEVER
  const kinds = baseKinds.filter((kind) => fields[kind] !== undefined)
  const [kind] = kinds
  const add = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message })
  if (kind === undefined || kinds.length > 1) {
    const given = kind === undefined ? 'none is there' : `${kinds.join(' and ')} are there`
    add([], `a base is exactly one of ${baseKinds.join(', ')}; ${given}`)
    return z.NEVER
  }
  if (fields.sha256 !== undefined && kind !== 'ipsw') add(['sha256'], `sha256 belongs to ipsw; this base is ${kind}`)
  if (fields.mirror !== undefined && kind !== 'debian') add(['mirror'], `mirror belongs to debian; this base is ${kind}`)
  if (fields.sha256 === undefined && kind === 'ipsw') {
    add(['sha256'], 'the SHA-256 of the restore image is not there: a build does not start from unknown bytes')
  }
  return baseOf(fields) ?? z.NEVER
})
