import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import { asCideryError, isTransient, networkError, problemError } from './answer-error.ts'
import { findConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import type { HttpAnswer, HttpRequest, Socket } from './transport.ts'

export type Query = Readonly<Record<string, string | number | boolean | undefined>>

export interface CallOptions {
  readonly query?: Query | undefined
  /** JSON body. */
  readonly body?: unknown
  /** Raw body. */
  readonly bytes?: Uint8Array
  /** Generation that the write was decided on. */
  readonly ifMatch?: number
  /** Makes a create safe to repeat. */
  readonly idempotencyKey?: string
  readonly signal?: AbortSignal | undefined
  /** Sent again after a lost answer. Default: for GET, PUT and DELETE, and for anything with an idempotency key. */
  readonly repeatable?: boolean
  /** Keep trying for so long, in ms, when the network or the controller is down. Default 1 s at first contact, 30 s after. */
  readonly patienceMs?: number
  readonly idleMs?: number
  /** Called before each wait for another try. */
  readonly onRetry?: (error: CideryError) => void
}

type Method = HttpRequest['method']

/** The public API of one controller, or of several that serve one fleet: when one is away, the next is asked. Answers are trusted to have the shapes of model/api.ts; fields that a newer controller adds pass through. */
export interface Api {
  readonly connection: Connection
  /** The controller that is asked now. */
  readonly url: () => URL
  get<T>(path: string, options?: CallOptions): Promise<T>
  call<T>(method: Method, path: string, options?: CallOptions): Promise<T>
  /** The answer with its body unread; errors are thrown as in `call`. Tries once. */
  open(method: Method, path: string, options?: CallOptions): Promise<HttpAnswer>
  socket(path: string, signal?: AbortSignal): Promise<Socket>
  /** A key for one create and all its repetitions. */
  newKey(): string
}

const answerLimit = 64 * 1024 * 1024

/** A controller that is not there at the first look: most often the address is wrong, so a person should know soon. */
const firstPatienceMs = 1_000
/** A controller that was there a moment ago restarts. */
const laterPatienceMs = 30_000

/**
 * Opens the API of the controller that options, environment and state directory name. `firstPatienceMs`: how long the first answer may take to
 * come; builds that start while the controller restarts give it longer.
 */
export async function openApi(cli: Cli, options: { readonly firstPatienceMs?: number } = {}): Promise<Api> {
  return makeApi(cli, await findConnection(cli), options.firstPatienceMs)
}

export function makeApi(
  cli: Pick<Cli, 'transport' | 'timers' | 'clock' | 'random' | 'version'>,
  connection: Connection,
  firstPatience = firstPatienceMs,
): Api {
  const { urls } = connection
  let contacted = false
  let present = 0
  const presentUrl = (): URL => urls[present] ?? urls[0]

  /** After a failure: others are asked when this one is away. Another call may have moved on already. */
  function moveOn(from: URL, error: CideryError): CideryError {
    if (isTransient(error) && error.code !== 'TOO_MANY_REQUESTS' && presentUrl() === from) present = (present + 1) % urls.length
    return error
  }

  async function open(method: Method, path: string, options: CallOptions = {}): Promise<HttpAnswer> {
    const controller = presentUrl()
    const url = urlOf(controller, path, options.query)
    let answer: HttpAnswer
    try {
      answer = await cli.transport.send({
        method,
        url,
        headers: headersOf(options),
        body: options.bytes ?? (options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body))),
        signal: options.signal,
        idleMs: options.idleMs ?? 30_000,
        trust: connection.trust,
      })
    } catch (cause) {
      if (options.signal?.aborted === true) throw cause
      throw moveOn(controller, networkError(controller, cause))
    }
    contacted = true
    if (answer.status >= 200 && answer.status < 300) return answer
    throw moveOn(controller, problemError(answer.status, answer.headers, await readText(answer)))
  }

  function headersOf(options: CallOptions): Record<string, string> {
    return {
      accept: 'application/json, application/problem+json, */*;q=0.5',
      'user-agent': `cidery/${cli.version}`,
      ...(connection.token === undefined ? {} : { authorization: `Bearer ${connection.token}` }),
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.bytes === undefined ? {} : { 'content-type': 'application/octet-stream' }),
      ...(options.ifMatch === undefined ? {} : { 'if-match': `"${options.ifMatch}"` }),
      ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
    }
  }

  async function tryOnce<T>(method: Method, path: string, options: CallOptions): Promise<T> {
    const text = await readText(await open(method, path, options))
    return (text === '' ? undefined : JSON.parse(text)) as T
  }

  async function call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
    const startedAt = cli.clock.steady()
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await tryOnce<T>(method, path, options)
      } catch (caught) {
        if (options.signal?.aborted === true) throw caught
        const error = asCideryError(presentUrl(), caught)
        const patience = options.patienceMs ?? (contacted ? laterPatienceMs : firstPatience)
        const others = Math.max(0, urls.length - 1 - attempt)
        const wait = waitBefore(error, { attempt, others, repeatable: isRepeatable(method, options), random: cli.random.fraction() })
        if (wait === undefined || cli.clock.steady() - startedAt + wait > patience) throw error
        if (wait === 0) continue
        options.onRetry?.(error)
        await cli.timers.sleep(wait, options.signal)
      }
    }
  }

  return {
    connection,
    url: presentUrl,
    open,
    call,
    get: (path, options) => call('GET', path, options),
    async socket(path, signal) {
      try {
        return await cli.transport.openSocket({
          url: urlOf(presentUrl(), path, undefined),
          headers: headersOf({}),
          trust: connection.trust,
          ...(signal === undefined ? {} : { signal }),
        })
      } catch (cause) {
        throw networkError(presentUrl(), cause)
      }
    },
    newKey: () => Buffer.from(cli.random.bytes(18)).toString('base64url'),
  }
}

function isRepeatable(method: Method, options: CallOptions): boolean {
  return options.repeatable ?? (options.idempotencyKey !== undefined || method === 'GET' || method === 'PUT' || method === 'DELETE')
}

interface RetryQuestion {
  readonly attempt: number
  /** Controllers that were not asked yet. */
  readonly others: number
  readonly repeatable: boolean
  readonly random: number
}

/** Milliseconds to wait before the next try, doubling to 2 s, with jitter; undefined when trying again cannot help. */
function waitBefore(error: CideryError, { attempt, others, repeatable, random }: RetryQuestion): number | undefined {
  if (!isTransient(error)) return undefined
  // A refused connection and a rate limit carried nothing out, so that even a call that must not be repeated may be tried again.
  if (!repeatable && error.details?.['notSent'] !== true && error.code !== 'TOO_MANY_REQUESTS') return undefined
  if (others > 0 && error.code !== 'TOO_MANY_REQUESTS') return 0
  const asked = error.details?.['retryAfterMs']
  const backOff = Math.min(2_000, 150 * 2 ** Math.min(attempt, 10))
  return Math.max(typeof asked === 'number' ? asked : 0, Math.round(backOff * (0.5 + random)))
}

function urlOf(base: URL, path: string, query: Query | undefined): URL {
  const url = new URL(`${base.pathname}/api/v1${path}`.replace(/^\/+/, '/'), base)
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value))
  return url
}

async function readText(answer: HttpAnswer): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.byteLength
    if (size > answerLimit)
      throw new CideryError('PAYLOAD_TOO_LARGE', `the controller's answer is longer than ${answerLimit} bytes`, {
        hint: 'ask for fewer with --limit',
      })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
