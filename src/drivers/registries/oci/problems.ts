import { z } from 'zod'
import { CideryError, type ErrorCode } from '../../../model/errors.ts'
import { second, type Milliseconds } from '../../../model/instant.ts'
import type { Clock } from '../../../ports/time.ts'
import type { Answer } from './connections.ts'
import { Passing } from './passing.ts'

/** What a registry said about a request that it did not carry out. */
export interface Refusal {
  readonly status: number
  /** The codes of its `errors[]`: `MANIFEST_UNKNOWN`. */
  readonly codes: readonly string[]
  /** Status and words, for messages: at most 300 characters of its own, without secrets. */
  readonly text: string
}

const longestBody = 64 * 1024
const longestText = 300

const Errors = z.looseObject({
  errors: z.array(z.looseObject({ code: z.string().optional(), message: z.string().optional(), detail: z.unknown().optional() })),
})

export async function readRefusal(answer: Answer, secrets: readonly string[]): Promise<Refusal> {
  const text = await answer.text(longestBody)
  const errors = errorsOf(text)
  const words = errors.map(({ code, message, detail }) =>
    [code, message, shownDetail(detail)].filter((word) => word !== undefined).join(' '),
  )
  const said = hide((words.length === 0 ? text : words.join('; ')).replaceAll(/\s+/g, ' ').trim(), secrets).slice(0, longestText)
  return {
    status: answer.status,
    codes: errors.flatMap(({ code }) => (code === undefined ? [] : [code])),
    text: `HTTP ${answer.status}${said === '' ? '' : ` (${said})`}`,
  }
}

function errorsOf(text: string): z.infer<typeof Errors>['errors'] {
  try {
    return Errors.parse(JSON.parse(text)).errors
  } catch {
    // A page of a proxy, or nothing: shown as it is.
    return []
  }
}

function shownDetail(detail: unknown): string | undefined {
  if (detail === undefined || detail === null) return undefined
  const text = typeof detail === 'string' ? detail : JSON.stringify(detail)
  return text === '{}' || text === '' ? undefined : text
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.filter((secret) => secret.length > 3).reduce((shown, secret) => shown.replaceAll(secret, '***'), text)
}

const codeOfWord: Readonly<Record<string, ErrorCode>> = {
  DIGEST_INVALID: 'DIGEST_MISMATCH',
  MANIFEST_BLOB_UNKNOWN: 'NOT_FOUND',
  BLOB_UNKNOWN: 'NOT_FOUND',
  NAME_UNKNOWN: 'NOT_FOUND',
  MANIFEST_UNKNOWN: 'NOT_FOUND',
  DENIED: 'FORBIDDEN',
  UNSUPPORTED: 'UNSUPPORTED',
}

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'UNSUPPORTED',
  413: 'PAYLOAD_TOO_LARGE',
  501: 'UNSUPPORTED',
}

/** The error of a refusal; Passing for what may be over when it is tried again. `what` is `read the manifest latest of acme/macos at ghcr.io`. */
export function problemOf(refusal: Refusal, what: string): CideryError {
  const word = refusal.codes.find((code) => Object.hasOwn(codeOfWord, code))
  const code = (word === undefined ? undefined : codeOfWord[word]) ?? codeOfStatus[refusal.status] ?? 'INVALID_INPUT'
  return new CideryError(code, `could not ${what}: ${refusal.text}`, {
    details: { status: refusal.status, codes: refusal.codes },
  })
}

/** 500 and above, but for the one that says that it will never be done. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || (status >= 500 && status !== 501)
}

export async function passingOf(
  answer: Answer,
  host: string,
  { clock, secrets }: { readonly clock: Clock; readonly secrets: readonly string[] },
): Promise<Passing> {
  const { text } = await readRefusal(answer, secrets)
  const limited = answer.status === 429
  const asked = retryAfter(answer.header('retry-after'), clock)
  return new Passing(`${host} answered ${text}`, { limited: limited || asked !== null, afterMs: asked })
}

/** `Retry-After`: seconds or a date (RFC 9110, 10.2.3), at most a day. Null when it says nothing that can be read. */
export function retryAfter(header: string | undefined, clock: Clock): Milliseconds | null {
  if (header === undefined) return null
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * second : Date.parse(header) - clock.now()
  return Number.isNaN(ms) ? null : Math.min(86_400_000, Math.max(0, ms))
}
