import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'
import { minute, second, type Milliseconds } from '../../../model/instant.ts'
import type { FoundCredential, RegistryCredential } from '../../../ports/registry-credentials.ts'
import type { RegistryParts } from '../make-registry.ts'
import type { PlainHttp } from './addresses.ts'
import { readChallenge, type Challenge } from './challenges.ts'
import type { Answer, Connections } from './connections.ts'
import { isPassing, passingOf, readRefusal, type Refusal } from './problems.ts'

/** A 401: what was asked for, what was sent with it, and what it said. */
export interface Refused {
  readonly scopes: readonly string[]
  readonly header: string | null
  readonly challenge: string | undefined
}

/** How one registry is told who asks. */
export interface Authority {
  /** The `Authorization` to begin with; null: none, until the registry says which. */
  header(scopes: readonly string[], signal: AbortSignal): Promise<string | null>
  /** The one for another try after a 401; null when there is nothing else to send. */
  renewed(refused: Refused, signal: AbortSignal): Promise<string | null>
  /** The error of a 401 that stays. */
  problem(refused: Refused, refusal: Refusal, what: string): CideryError
  /** For messages: `with the credentials from …` or `without credentials`. */
  who(): string
  /** What no message may hold. */
  secrets(): readonly string[]
}

export interface AuthorityOptions {
  /** Under which name its credentials are kept. */
  readonly registry: string
  readonly connections: Connections
  readonly plain: PlainHttp
  /** Ends with the client: a token is fetched for everybody who waits for it, not for who asked first. */
  readonly closed: AbortSignal
}

interface Token {
  readonly value: string
  /** Steady time. */
  readonly until: number
}

type Bearer = Extract<Challenge, { scheme: 'bearer' }>

const TokenAnswer = z.looseObject({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().optional(),
})
const longestToken = 256 * 1024
/** What the specification of the token flow says when nothing is said. */
const defaultLifeMs = minute
const mostTokens = 1000

export function createAuthority(options: AuthorityOptions, parts: RegistryParts): Authority {
  const { registry, connections, plain, closed } = options
  const { clock, credentials } = parts
  const tokens = new Map<string, Token>()
  const fetching = new Map<string, Promise<string>>()
  let scheme: Challenge | null = null
  let known: FoundCredential | null = null

  async function lookUp(): Promise<RegistryCredential | null> {
    known = credentials === null ? { found: false, looked: [] } : await credentials.find(registry, closed)
    return known.found ? known.credential : null
  }

  async function token(bearer: Bearer, scopes: readonly string[], signal: AbortSignal): Promise<string> {
    const key = scopes.join(' ')
    const held = tokens.get(key)
    if (held !== undefined && clock.steady() < held.until) return `Bearer ${held.value}`
    let fetched = fetching.get(key)
    if (fetched === undefined) {
      fetched = fetchToken(bearer, scopes).finally(() => fetching.delete(key))
      fetching.set(key, fetched)
    }
    return `Bearer ${await unlessAborted(fetched, signal)}`
  }

  async function fetchToken(bearer: Bearer, scopes: readonly string[]): Promise<string> {
    const url = realmOf(bearer)
    if (bearer.service !== null) url.searchParams.append('service', bearer.service)
    for (const scope of new Set([...scopes, ...bearer.scopes])) url.searchParams.append('scope', scope)
    const credential = await lookUp()
    const headers = credential === null ? {} : { authorization: basic(credential) }
    const answer = await connections.open({ method: 'GET', url, headers, signal: closed })
    if (isPassing(answer.status)) throw await passingOf(answer, url.host, { clock, secrets: secrets() })
    if (answer.status !== 200) throw await tokenProblem(answer, url, scopes)
    const { value, lifeMs } = readToken(await answer.text(longestToken), url.host)
    if (tokens.size >= mostTokens) tokens.delete(tokens.keys().next().value ?? '')
    // Some seconds on their way, and a clock that is not ours.
    tokens.set(scopes.join(' '), { value, until: clock.steady() + lifeMs - Math.min(10 * second, lifeMs / 5) })
    return value
  }

  function realmOf({ realm }: Bearer): URL {
    const url = URL.parse(realm)
    if (url === null) throw new CideryError('UNAVAILABLE', `${registry} names a token service that is no URL`)
    return plain.check(url, `the token service of ${registry}`)
  }

  async function tokenProblem(answer: Answer, url: URL, scopes: readonly string[]): Promise<CideryError> {
    const refusal = await readRefusal(answer, secrets())
    const forbidden = answer.status === 403 && known?.found === true
    const message = `${url.host} gives no token for ${scopes.join(' and ')} ${who()}: ${refusal.text}`
    return new CideryError(forbidden ? 'FORBIDDEN' : 'UNAUTHENTICATED', message, { hint: hint(), details: { registry, scopes } })
  }

  function who(): string {
    return known?.found === true ? `with the credentials from ${known.credential.source}` : 'without credentials'
  }

  function hint(): string {
    if (known?.found === true) return `see whether the credentials from ${known.credential.source} have not ended and may do this`
    const looked = known?.looked ?? []
    return looked.length === 0 ? `give credentials for ${registry}` : `no credentials for ${registry} were found: ${looked.join('; ')}`
  }

  function secrets(): readonly string[] {
    const held = [...tokens.values()].map(({ value }) => value)
    return known?.found === true ? [known.credential.password, basic(known.credential).slice('Basic '.length), ...held] : held
  }

  return {
    who,
    secrets,
    async header(scopes, signal) {
      if (scheme === null) return null
      if (scheme.scheme === 'bearer') return token({ ...scheme, scopes: [] }, scopes, signal)
      const credential = known?.found === true ? known.credential : await lookUp()
      return credential === null ? null : basic(credential)
    },
    async renewed({ challenge, header, scopes }, signal) {
      const asked = readChallenge(challenge)
      if (asked === null) return null
      scheme = asked
      if (asked.scheme === 'basic') {
        const credential = await lookUp()
        const fresh = credential === null ? null : basic(credential)
        return fresh === header ? null : fresh
      }
      const key = scopes.join(' ')
      // Somebody else may have fetched a newer one meanwhile.
      if (`Bearer ${tokens.get(key)?.value ?? ''}` === header) tokens.delete(key)
      return token(asked, scopes, signal)
    },
    problem({ challenge, scopes }, refusal, what) {
      const asked = readChallenge(challenge)
      const tooLittle = asked?.scheme === 'bearer' && asked.error === 'insufficient_scope' && known?.found === true
      const reason = tooLittle
        ? `${registry} does not allow ${scopes.join(' and ')} ${who()}`
        : known?.found === true
          ? `${registry} does not accept the credentials from ${known.credential.source}`
          : `${registry} asks for credentials, and none were sent`
      return new CideryError(tooLittle ? 'FORBIDDEN' : 'UNAUTHENTICATED', `could not ${what}: ${reason}: ${refusal.text}`, {
        hint: hint(),
        details: { registry, scopes },
      })
    },
  }
}

function basic({ username, password }: RegistryCredential): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function readToken(text: string, host: string): { readonly value: string; readonly lifeMs: Milliseconds } {
  try {
    const { token, access_token: accessToken, expires_in: seconds } = TokenAnswer.parse(JSON.parse(text))
    const value = token ?? accessToken
    if (value !== undefined) return { value, lifeMs: seconds === undefined || seconds <= 0 ? defaultLifeMs : seconds * second }
  } catch {
    // The error below says it; what came may hold a secret.
  }
  throw new CideryError('UNAVAILABLE', `${host} answered with something that is no token`)
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('the request was aborted'))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
