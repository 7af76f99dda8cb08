/** What a registry says with 401: how it wants to be told who asks. */
export type Challenge =
  | { readonly scheme: 'basic' }
  | {
      readonly scheme: 'bearer'
      readonly realm: string
      readonly service: string | null
      readonly scopes: readonly string[]
      /** `insufficient_scope`: it knows who asks, and it is not allowed. */
      readonly error: string | null
    }

const challengePattern = /(?:^|[\s,])(basic|bearer)(?=\s|$)/gi
const parameterPattern = /([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi

/**
 * Reads `WWW-Authenticate` (RFC 9110, 11.6.1; the token flow of the distribution project). Bearer goes before Basic when both are offered; null: none that
 * we speak.
 */
export function readChallenge(header: string | undefined): Challenge | null {
  if (header === undefined) return null
  // Quoted text may hold anything, also the names of schemes.
  const bare = header.replaceAll(/"(?:[^"\\]|\\.)*"/g, (text) => `"${'_'.repeat(text.length - 2)}"`)
  const starts = [...bare.matchAll(challengePattern)]
  const parts = starts.map((start, i) => ({
    scheme: (start[1] ?? '').toLowerCase(),
    parameters: readParameters(header.slice(start.index + start[0].length, starts[i + 1]?.index)),
  }))
  const bearer = parts.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'))
  if (bearer !== undefined) {
    const { parameters } = bearer
    return {
      scheme: 'bearer',
      realm: parameters.get('realm') ?? '',
      service: parameters.get('service') ?? null,
      scopes: (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== ''),
      error: parameters.get('error') ?? null,
    }
  }
  return parts.some(({ scheme }) => scheme === 'basic') ? { scheme: 'basic' } : null
}

function readParameters(text: string): ReadonlyMap<string, string> {
  const found = [...text.matchAll(parameterPattern)]
  return new Map(found.map(([, name = '', quoted, bare]) => [name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '']))
}
