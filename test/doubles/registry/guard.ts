import { randomBytes } from 'node:crypto'

export interface DoubleUser {
  readonly username: string
  readonly password: string
}

export interface DoubleAuth {
  readonly kind: 'basic' | 'bearer'
  readonly users: readonly DoubleUser[]
  /** Who may do what; default: every user everything, nobody else anything. `action` is `pull`, `push` or `delete`. */
  readonly may?: (user: string | null, repository: string, action: string) => boolean
  /** How long a token is good for. Default 300; what is told and what holds. */
  readonly tokenSeconds?: number
}

/** `repository` → actions. */
type Grants = ReadonlyMap<string, ReadonlySet<string>>

export interface Guard {
  /** Null: it may. Else the `WWW-Authenticate` of a 401; undefined for a 403. */
  refuse(
    authorization: string | undefined,
    needs: readonly (readonly [repository: string, action: string])[],
  ): { readonly challenge: string | undefined } | null
  /** The token service: null for a user that is not known. */
  issue(authorization: string | undefined, scopes: readonly string[]): { readonly token: string; readonly expiresIn: number } | null
  /** All tokens that are out end now; what was told of their life is not true any more. */
  endTokens(): void
}

export function createGuard(auth: DoubleAuth | undefined, realm: () => string): Guard {
  const tokens = new Map<string, { readonly grants: Grants; readonly until: number }>()
  const may = auth?.may ?? ((user) => user !== null)

  function userOf(authorization: string | undefined): string | null | undefined {
    if (authorization === undefined) return null
    const text = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString('utf8')
    return auth?.users.find(({ username, password }) => `${username}:${password}` === text)?.username
  }

  function bearer(authorization: string | undefined, needs: readonly (readonly [string, string])[]): { readonly challenge: string } | null {
    const scope = needs.map(([repository, action]) => `repository:${repository}:${action}`).join(' ')
    const challenge = `Bearer realm="${realm()}",service="double, the \\"nasty\\"",scope="${scope}"`
    const held = tokens.get((authorization ?? '').replace(/^Bearer /, ''))
    if (held === undefined) return { challenge: authorization === undefined ? challenge : `${challenge},error="invalid_token"` }
    if (held.until < performance.now()) return { challenge: `${challenge},error="invalid_token"` }
    const all = needs.every(([repository, action]) => held.grants.get(repository)?.has(action))
    return all ? null : { challenge: `${challenge},error="insufficient_scope"` }
  }

  return {
    refuse(authorization, needs) {
      if (auth === undefined) return null
      if (auth.kind === 'bearer') return bearer(authorization, needs)
      const user = authorization?.startsWith('Basic ') === false ? undefined : userOf(authorization)
      if (user !== undefined && needs.every(([repository, action]) => may(user, repository, action))) return null
      return { challenge: user === undefined || user === null ? 'Basic realm="double"' : undefined }
    },
    issue(authorization, scopes) {
      const user = userOf(authorization)
      if (user === undefined || auth === undefined) return null
      const grants = new Map<string, Set<string>>()
      for (const scope of scopes.flatMap((text) => text.split(' '))) {
        const [, repository = '', actions = ''] = /^repository:([^:]+):(.*)$/.exec(scope) ?? []
        const granted = grants.get(repository) ?? new Set()
        for (const action of actions.split(',')) if (may(user, repository, action)) granted.add(action)
        grants.set(repository, granted)
      }
      const token = randomBytes(24).toString('base64url')
      const expiresIn = auth.tokenSeconds ?? 300
      tokens.set(token, { grants, until: performance.now() + expiresIn * 1000 })
      return { token, expiresIn }
    },
    endTokens: () => tokens.clear(),
  }
}
