import { isIP } from 'node:net'
import { CideryError } from '../../../model/errors.ts'
import { parseImageReference } from '../../../model/image/reference.ts'
import type { Repository } from '../../../ports/registry.ts'

/** Whether an address is this machine's own. */
function isLoopback(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (name === 'localhost' || name === '::1') return true
  return isIP(name) === 4 && name.startsWith('127.')
}

/** Which addresses may be asked over plain HTTP: loopback, and those that the operator listed. */
export interface PlainHttp {
  /** The root of a registry: `https://ghcr.io`. */
  rootOf(registry: string): URL
  /** Gives the URL back, or throws TLS_REQUIRED. `told` says who named it. */
  check(url: URL, told: string): URL
}

/** Names under which a registry is known, that are not the host that answers. */
const answeredBy: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' }

export function createPlainHttp(insecure: readonly string[]): PlainHttp {
  const listed = new Set(insecure.map((host) => host.toLowerCase()))

  function mayBePlain(url: URL): boolean {
    return isLoopback(url.hostname) || listed.has(url.host) || (url.port === '' && listed.has(`${url.host}:80`))
  }

  return {
    rootOf(registry) {
      const host = answeredBy[registry] ?? registry
      const plain = new URL(`http://${host}`)
      return mayBePlain(plain) || listed.has(registry.toLowerCase()) ? plain : new URL(`https://${host}`)
    },
    check(url, told) {
      if (url.protocol === 'https:' || (url.protocol === 'http:' && mayBePlain(url))) return url
      throw new CideryError('TLS_REQUIRED', `${told} is ${url.origin}, which could be read and changed by everybody in between`, {
        hint: `use https, or list ${url.host} as insecure`,
      })
    },
  }
}

/** Reads the addresses of mirrors. INVALID_INPUT, TLS_REQUIRED. */
export function mirrorRoots(mirrors: Readonly<Record<string, readonly string[]>>, plain: PlainHttp): ReadonlyMap<string, readonly URL[]> {
  return new Map(Object.entries(mirrors).map(([registry, texts]) => [registry, texts.map((text) => mirrorRoot(registry, text, plain))]))
}

function mirrorRoot(registry: string, text: string, plain: PlainHttp): URL {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.search !== '') {
    throw new CideryError('INVALID_INPUT', `a mirror of ${registry} is no http or https URL without user and query`, {
      hint: "write mirrors: { 'ghcr.io': ['https://mirror.example.org'] }",
    })
  }
  return plain.check(url, `a mirror of ${registry}`)
}

/** Throws INVALID_INPUT unless all of it may be part of a path; what comes from outside must not lead to another place. */
export function checkNames({ registry, repository }: Repository, name?: string): void {
  const suffix = name === undefined ? '' : isDigest(name) ? `@${name}` : `:${name}`
  parseImageReference(`${registry}/${repository}${suffix}`)
}

export function isDigest(name: string): boolean {
  return name.includes(':')
}

/** For messages: host and path alone. The query of an address may be as good as a password. */
export function shown(url: URL): string {
  return `${url.host}${url.pathname}`
}
