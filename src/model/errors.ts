/**
 * Every error code, with the HTTP status it travels as and whether trying again can help. `docs/reference/errors.md` is made from
 * this table. A code is API: it is never renamed, only added.
 */
export const errorCodes = {
  INVALID_INPUT: { status: 400, retry: 'never', meaning: 'a field is missing, unknown or out of range' },
  UNAUTHENTICATED: { status: 401, retry: 'never', meaning: 'no valid credential came with the request' },
  FORBIDDEN: { status: 403, retry: 'never', meaning: 'the credential is valid but its role or scope does not allow this' },
  NOT_FOUND: { status: 404, retry: 'never', meaning: 'there is no thing of this name or id' },
  METHOD_NOT_ALLOWED: { status: 405, retry: 'never', meaning: 'the path exists, but not with this method' },
  REQUEST_TIMEOUT: { status: 408, retry: 'soon', meaning: 'the request did not arrive whole in time' },
  CONFLICT: { status: 409, retry: 'never', meaning: 'the thing is in a state that does not allow this' },
  HOST_LOST: { status: 409, retry: 'soon', meaning: 'the host has not reported for longer than the lost interval' },
  OPERATION_RUNNING: { status: 409, retry: 'soon', meaning: 'the host is carrying out another operation' },
  STALE_EPOCH: { status: 409, retry: 'soon', meaning: 'another controller leads now' },
  IDEMPOTENCY_MISMATCH: { status: 409, retry: 'never', meaning: 'the idempotency key was used before with another request' },
  STALE_GENERATION: { status: 412, retry: 'never', meaning: 'the thing changed since it was read' },
  PAYLOAD_TOO_LARGE: { status: 413, retry: 'never', meaning: 'the body is above the limit' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retry: 'never', meaning: 'the body is of a type that this route does not read' },
  OFFSET_MISMATCH: { status: 416, retry: 'soon', meaning: 'the upload continues at another offset' },
  WRONG_HOST: { status: 421, retry: 'never', meaning: 'the request is addressed to a host name that is not this controller' },
  AGENT_TOO_OLD: { status: 426, retry: 'never', meaning: 'the agent or client speaks a protocol that is no longer served' },
  PRECONDITION_REQUIRED: { status: 428, retry: 'never', meaning: 'the write needs an If-Match header' },
  TOO_MANY_REQUESTS: { status: 429, retry: 'soon', meaning: 'a rate limit was reached' },
  QUEUE_FULL: { status: 429, retry: 'soon', meaning: 'the queue holds as many jobs as its limit allows' },
  INTERNAL: { status: 500, retry: 'soon', meaning: 'a fault of cidery itself' },
  UNSUPPORTED: { status: 501, retry: 'never', meaning: 'this engine or platform cannot do that' },
  UNAVAILABLE: { status: 503, retry: 'soon', meaning: 'the controller cannot serve this now' },
  STORAGE_FULL: { status: 507, retry: 'soon', meaning: 'the disk of the controller is below its floor' },
  ENGINE_FAILED: { status: 500, retry: 'soon', meaning: 'a command of the engine failed' },
  SANDBOX_RESIDUE: { status: 500, retry: 'never', meaning: 'a sandbox left something behind after clean-up' },
  MOUNT_REFUSED: { status: 403, retry: 'never', meaning: 'the host does not let a job see this directory' },
  AGENT_LOCKED: { status: 409, retry: 'never', meaning: 'another agent holds the lock of this host identity' },
  CONTROLLER_LOCKED: { status: 409, retry: 'never', meaning: 'another controller holds the state directory' },
  SCHEMA_TOO_NEW: { status: 500, retry: 'never', meaning: 'the database was written by a newer cidery' },
  UNREACHABLE: { status: 503, retry: 'soon', meaning: 'the controller did not answer' },
  TLS_REQUIRED: { status: 400, retry: 'never', meaning: 'plain HTTP is refused outside loopback' },
  DIGEST_MISMATCH: { status: 502, retry: 'never', meaning: 'bytes that were read, or were to be sent, are not what their digest says' },
  JOURNAL_BROKEN: { status: 500, retry: 'never', meaning: 'the audit journal does not verify' },
} as const satisfies Record<string, { status: number; retry: 'soon' | 'never'; meaning: string }>

export type ErrorCode = keyof typeof errorCodes

/** One thing wrong with an input: where, and what would be accepted. `path` is `pools.default.engines.user.slots`. */
export interface InputProblem {
  readonly path: string
  readonly message: string
  readonly file?: string | undefined
  readonly line?: number | undefined
  readonly column?: number | undefined
  readonly accepted?: readonly string[] | undefined
}

export interface CideryErrorOptions {
  /** The next thing to type or do. */
  readonly hint?: string | undefined
  readonly cause?: unknown
  readonly problems?: readonly InputProblem[] | undefined
  /** Facts for programs (`lastSeenAgeMs`, `holder`). Never a secret. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

/**
 * What could not be done, why, and what to do next.
 *
 * @example throw new CideryError('NOT_FOUND', 'no job has the id job_1', { hint: 'cidery job ls' })
 */
export class CideryError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly problems: readonly InputProblem[] | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, options: CideryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CideryError'
    this.code = code
    this.hint = options.hint
    this.problems = options.problems
    this.details = options.details
  }

  get status(): number {
    return errorCodes[this.code].status
  }

  get retry(): 'soon' | 'never' {
    return errorCodes[this.code].retry
  }

  /** Where the docs explain this code. */
  get docs(): string {
    return `docs/reference/errors.md#${this.code.toLowerCase()}`
  }
}
