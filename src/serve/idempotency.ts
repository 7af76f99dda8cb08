import { CideryError } from '../model/errors.ts'
import type { Principal } from '../model/identity.ts'
import type { Reader, Writer } from '../ports/store.ts'
import { findAnswer, keepAnswer } from '../record/idempotency.ts'
import type { StoredAnswer } from '../record/idempotency.ts'
import type { ServePorts } from './serve-ports.ts'

/** How long an answer is repeated. */
export const idempotencyMs = 86_400_000

/** Thrown out of a write when the request was answered before: carries that answer up to the sender. No failure. */
export class AnsweredBefore extends Error {
  readonly status: number
  readonly body: string
  constructor(status: number, body: string) {
    super('this request was answered before')
    this.status = status
    this.body = body
  }
}

/** One request with an `Idempotency-Key`. */
export interface IdempotentRequest {
  /** Throws AnsweredBefore when an answer is stored, IDEMPOTENCY_MISMATCH when the key belongs to another request. */
  check(db: Reader): Promise<void>
  keep(tx: Writer, status: number, body: unknown): Promise<void>
  /** Whether `keep` was called: else the route promised more than it does. */
  readonly kept: () => boolean
}

const keyForm = /^[\x21-\x7e]{1,255}$/

/**
 * Reads the key of a request; null when there is none. The hash of the request and the answer are sealed at rest, since either may hold what is shown
 * only once (a new token) or could be guessed (a password). Throws INVALID_INPUT for a key that is empty, too long or not printable.
 */
export function idempotentRequest(
  ports: ServePorts,
  principal: Principal,
  request: { readonly key: string | undefined; readonly what: string },
): IdempotentRequest | null {
  const { key } = request
  if (key === undefined) return null
  if (!keyForm.test(key)) {
    throw new CideryError('INVALID_INPUT', 'the Idempotency-Key is not 1–255 printable characters', {
      hint: 'send a UUID as Idempotency-Key',
    })
  }
  const who = `${principal.kind}:${principal.id}`
  const context = `idempotency/${who}/${key}`
  const hash = ports.digests.sha256(request.what)
  let kept = false

  async function check(db: Reader): Promise<void> {
    const stored = await findAnswer(db, who, key ?? '')
    if (stored !== undefined) repeat(stored)
  }

  function repeat(stored: StoredAnswer): never {
    if (ports.box.open(stored.requestHash, context) !== hash) {
      throw new CideryError('IDEMPOTENCY_MISMATCH', 'the Idempotency-Key was used before with another request', {
        hint: 'use a new key for a new request',
      })
    }
    throw new AnsweredBefore(stored.status, ports.box.open(stored.body, context))
  }

  async function keep(tx: Writer, status: number, body: unknown): Promise<void> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const sealed = { requestHash: ports.box.seal(hash, context), status, body: ports.box.seal(text, context) }
    await keepAnswer(tx, { ...sealed, principal: who, key: key ?? '', at: ports.clock.now() })
    kept = true
  }

  return { check, keep, kept: () => kept }
}
