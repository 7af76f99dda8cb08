import { CideryError } from '../../../model/errors.ts'
import type { Milliseconds } from '../../../model/instant.ts'
import type { DownloadedBytes, Downloads } from '../../../ports/downloads.ts'

export interface HttpDownloadsOptions {
  /** Without a byte for so long, a download is given up; default: a minute. */
  readonly idleMs?: Milliseconds
}

const mostRedirects = 10

/** Downloads over HTTP: TLS to every machine but this one, also after redirects. */
export function httpDownloads({ idleMs = 60_000 }: HttpDownloadsOptions = {}): Downloads {
  return {
    async read(url, signal) {
      const idle = idleSignal(idleMs)
      const ended = AbortSignal.any([signal, idle.signal])
      try {
        const response = await follow(url, ended)
        const length = response.headers.get('content-length')
        return { sizeBytes: length === null ? null : Number(length), bytes: bytesOf(response, { url, idle }) }
      } catch (error) {
        idle.stop()
        throw signal.aborted ? signal.reason : told(error, url)
      }
    },
  } satisfies Downloads
}

interface Idle {
  readonly signal: AbortSignal
  heard(): void
  stop(): void
}

function idleSignal(idleMs: Milliseconds): Idle {
  const controller = new AbortController()
  const giveUp = () => controller.abort(new Error(`no byte for ${idleMs / 1000} s`))
  let timer = setTimeout(giveUp, idleMs)
  return {
    signal: controller.signal,
    heard() {
      clearTimeout(timer)
      timer = setTimeout(giveUp, idleMs)
    },
    stop: () => clearTimeout(timer),
  }
}

async function follow(start: string, signal: AbortSignal): Promise<Response> {
  let url = checked(start, start)
  for (let hops = 0; hops <= mostRedirects; hops += 1) {
    // The lock is over the bytes that a plain client gets.
    const response = await fetch(url, { signal, redirect: 'manual', headers: { 'accept-encoding': 'identity' } })
    const location = response.headers.get('location')
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel()
      url = checked(new URL(location, url).href, start)
      continue
    }
    return accepted(response, start)
  }
  throw new CideryError('INVALID_INPUT', `${start} leads through more than ${mostRedirects} redirects`)
}

async function accepted(response: Response, url: string): Promise<Response> {
  const encoding = response.headers.get('content-encoding') ?? 'identity'
  if (response.status === 200 && encoding === 'identity') return response
  await response.body?.cancel()
  if (response.status === 200)
    throw new CideryError('UNREACHABLE', `the server of ${url} sends it as ${encoding}, although it was asked not to`)
  const code = response.status === 404 || response.status === 410 ? 'NOT_FOUND' : 'UNREACHABLE'
  throw new CideryError(code, `${url} answered ${response.status}`, {
    hint: 'open it in a browser; the recipe may name a version that was taken away',
  })
}

function checked(text: string, start: string): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new CideryError('INVALID_INPUT', `${text.slice(0, 300)} is no http or https address`)
  }
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return url
  const whose = text === start ? text : `${start} leads to ${text}, which`
  throw new CideryError('TLS_REQUIRED', `${whose} is not over TLS`, { hint: 'use its https address' })
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)
}

async function* bytesOf(
  response: Response,
  { url, idle }: { readonly url: string; readonly idle: Idle },
): DownloadedBytes['bytes'] & AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of response.body ?? []) {
      idle.heard()
      yield piece
    }
  } catch (error) {
    throw told(error, url)
  } finally {
    idle.stop()
  }
}

function told(error: unknown, url: string): unknown {
  if (error instanceof CideryError) return error
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return new CideryError('UNREACHABLE', `${url} could not be downloaded: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause: error,
  })
}
