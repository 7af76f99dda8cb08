import { CideryError } from '../../../model/errors.ts'
import type { Milliseconds } from '../../../model/instant.ts'
import type { RegistryParts } from '../make-registry.ts'
import { shown, type PlainHttp } from './addresses.ts'
import { createAuthority, type AuthorityOptions } from './authority.ts'
import { createBudget } from './budgets.ts'
import type { Answer, Body, Outgoing } from './connections.ts'
import { Passing } from './passing.ts'
import { isPassing, passingOf, problemOf, readRefusal } from './problems.ts'
import { createTries, type Tries } from './tries.ts'

export interface Ask {
  readonly method: Outgoing['method']
  /** Below `/v2/`; or an address that the registry gave. */
  readonly path: string | URL
  /** `repository:acme/macos:pull`: what a token must be good for. */
  readonly scopes: readonly string[]
  /** For messages: `read the tags of acme/macos`. */
  readonly what: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Body
  /** Statuses of 300 and above that the caller reads itself. */
  readonly takes?: readonly number[]
  readonly worksLong?: boolean
  readonly signal: AbortSignal
}

/** `url`: where it came from in the end. */
export interface SiteAnswer extends Answer {
  readonly url: URL
}

/** One registry, or one mirror of it. */
export interface Site {
  readonly name: string
  /** One try: waits for its turn, says who asks, follows to where a blob is. Throws Passing, or the CideryError of a refusal. */
  send(ask: Ask): Promise<SiteAnswer>
  tries(what: string, signal: AbortSignal): Tries
}

export interface SiteOptions extends AuthorityOptions {
  readonly root: URL
  readonly tries: number
  readonly longestMs: Milliseconds
}

const mostRedirects = 5
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

export function createSite(options: SiteOptions, parts: RegistryParts): Site {
  const { registry: name, root, connections, plain } = options
  const authority = createAuthority(options, parts)
  const budget = createBudget(name, parts)

  function open({ method, headers, body, worksLong, signal }: Ask, url: URL, authorization: string | null): Promise<Answer> {
    return connections.open({
      method,
      url,
      headers: { ...headers, ...(authorization === null ? {} : { authorization }) },
      ...(body === undefined ? {} : { body }),
      ...(worksLong === undefined ? {} : { worksLong }),
      signal,
    })
  }

  /** Says who asks, and once more when the registry wants to be told otherwise. */
  async function authorized(ask: Ask, url: URL): Promise<Answer> {
    const { scopes } = ask
    const header = await authority.header(scopes, ask.signal)
    const answer = await open(ask, url, header)
    if (answer.status !== 401) return answer
    const refused = { scopes, header, challenge: answer.header('www-authenticate') }
    const refusal = await readRefusal(answer, authority.secrets())
    const better = await authority.renewed(refused, ask.signal)
    if (better === null) throw authority.problem(refused, refusal, `${ask.what} at ${name}`)
    const second = await open(ask, url, better)
    if (second.status !== 401) return second
    const again = { scopes, header: better, challenge: second.header('www-authenticate') }
    throw authority.problem(again, await readRefusal(second, authority.secrets()), `${ask.what} at ${name}`)
  }

  async function followed(ask: Ask, first: Answer, from: URL): Promise<{ readonly answer: Answer; readonly url: URL }> {
    let answer = first
    let url = from
    if (ask.method !== 'GET' && ask.method !== 'HEAD') return { answer, url }
    for (let turn = 0; redirects.has(answer.status); turn += 1) {
      answer.drop()
      if (turn >= mostRedirects) throw new CideryError('UNAVAILABLE', `${name} sends in circles: ${shown(url)}`)
      url = locationOf(answer, url, plain)
      if (url.origin === root.origin) {
        answer = await authorized(ask, url)
        continue
      }
      // Another host never sees who asks; what it is given is in the address.
      answer = await open(ask, url, null)
      // Such an address is good for minutes: the registry gives a new one.
      if (answer.status === 401 || answer.status === 403) throw new Passing(`${url.host} answered ${(await readRefusal(answer, [])).text}`)
    }
    return { answer, url }
  }

  async function send(ask: Ask): Promise<SiteAnswer> {
    await budget.turn(ask.signal)
    const asked = typeof ask.path === 'string' ? new URL(`${root.href.replace(/\/$/, '')}/v2/${ask.path}`) : ask.path
    const first = asked.origin === root.origin ? await authorized(ask, asked) : await open(ask, asked, null)
    const { answer, url } = await followed(ask, first, asked)
    if (answer.status < 300 || ask.takes?.includes(answer.status) === true) return { ...answer, url }
    if (isPassing(answer.status)) throw await passingOf(answer, url.host, { clock: parts.clock, secrets: authority.secrets() })
    const refusal = await readRefusal(answer, authority.secrets())
    const allowed = answer.status === 403 ? ` (${ask.scopes.join(' and ')} ${authority.who()})` : ''
    throw problemOf(refusal, `${ask.what} at ${name}${allowed}`)
  }

  return {
    name,
    send,
    tries: (what, signal) => createTries({ ...options, what, budget, signal }, parts),
  }
}

/** The address of an answer's `Location`, which may be relative. TLS_REQUIRED when it leads to where everybody listens. */
export function locationOf(answer: Answer, from: URL, plain: PlainHttp): URL {
  const url = URL.parse(answer.header('location') ?? '', from)
  if (url === null || answer.header('location') === undefined)
    throw new Passing(`${from.host} answered HTTP ${answer.status} without a place`)
  // Registries behind a proxy that ends TLS do not know that it is there.
  if (url.protocol === 'http:' && from.protocol === 'https:' && url.hostname === from.hostname) {
    url.protocol = 'https:'
    url.port = from.port
  }
  return plain.check(url, `where ${from.host} sends us`)
}
