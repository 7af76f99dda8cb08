import { CideryError, errorCodes } from '../../model/errors.ts'
import type { ErrorCode, InputProblem } from '../../model/errors.ts'
import type { HttpAnswer } from './transport.ts'

const transientNetwork = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ECONNABORTED',
])

/** Whether another try may find the controller well again. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof CideryError)) return false
  return (
    error.code === 'UNAVAILABLE' ||
    error.code === 'TOO_MANY_REQUESTS' ||
    error.code === 'STALE_EPOCH' ||
    (error.code === 'UNREACHABLE' && error.details?.['transient'] === true)
  )
}

/** Any error of a call as ours: what is not a problem of the server is one of the network. */
export function asCideryError(url: URL, error: unknown): CideryError {
  if (error instanceof CideryError) return error
  if (error instanceof SyntaxError)
    return new CideryError('UNREACHABLE', `${url.origin} answered with something that is not a controller's`, {
      hint: 'check the address',
      cause: error,
    })
  return networkError(url, error)
}

/** The controller did not answer, in words; `details.transient` tells whether it may later. */
export function networkError(url: URL, cause: unknown): CideryError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const tls = /^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL)/.test(code)
  const message = tls ? `the certificate of ${url.origin} is not trusted` : `the controller at ${url.origin} did not answer`
  const hint = tls
    ? 'set CIDERY_CA_FINGERPRINT to the fingerprint that the controller prints'
    : 'is it running? `cidery doctor` looks further; `cidery up` starts one'
  const notSent =
    code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || code === 'EAI_AGAIN' || code === 'ENOTFOUND'
  const transient = !tls && (transientNetwork.has(code) || /aborted|socket hang up|terminated/.test(String(cause)))
  return new CideryError('UNREACHABLE', message, { hint, cause, details: { transient, notSent } })
}

/** The error that a problem+json answer describes; an answer of something in between is read by its status. */
export function problemError(status: number, headers: HttpAnswer['headers'], text: string): CideryError {
  const body = parseObject(text)
  const named = typeof body['code'] === 'string' && body['code'] in errorCodes ? (body['code'] as ErrorCode) : undefined
  const code = named ?? codeOfStatus(status)
  const detail =
    typeof body['detail'] === 'string'
      ? body['detail']
      : typeof body['title'] === 'string'
        ? body['title']
        : `the controller answered ${status}`
  const retryAfter = Number(headers['retry-after'])
  const details = {
    ...parseDetails(body['details']),
    ...(Number.isFinite(retryAfter) && retryAfter > 0 ? { retryAfterMs: Math.min(retryAfter, 60) * 1000 } : {}),
  }
  return new CideryError(code, detail, {
    hint: typeof body['hint'] === 'string' ? body['hint'] : hintOf(code),
    problems: Array.isArray(body['problems']) ? (body['problems'] as InputProblem[]) : undefined,
    details,
  })
}

function hintOf(code: ErrorCode): string | undefined {
  if (code === 'UNAUTHENTICATED') return 'set CIDERY_TOKEN or CIDERY_TOKEN_FILE; `cidery token create` makes a token'
  if (code === 'FORBIDDEN') return 'ask an admin for the scope; `cidery doctor` shows yours'
  return undefined
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 502 || status === 504) return 'UNAVAILABLE'
  const found = (Object.keys(errorCodes) as ErrorCode[]).find((code) => errorCodes[code].status === status)
  return found ?? (status >= 500 ? 'INTERNAL' : 'INVALID_INPUT')
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return parseDetails(JSON.parse(text)) ?? {}
  } catch {
    // A proxy in between answers with a page; its status says enough.
    return {}
  }
}

function parseDetails(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined
}
