import type { Problem } from '../../../src/model/api.ts'

/** What the server said no with. */
export class ApiError extends Error {
  readonly status: number
  readonly hint: string | undefined
  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? `the controller answered ${status}`)
    this.status = status
    this.hint = problem.hint
  }
}

let signedOut: () => void = () => {}

/** Calls back when the server says that nobody is signed in (any more). */
export function onSignedOut(listener: () => void): void {
  signedOut = listener
}

let csrfToken: string | null = null

/** The token that each write of this browser session carries; it comes with the session. */
export function keepCsrfToken(token: string | null): void {
  csrfToken = token
}

interface CallOptions {
  readonly body?: unknown
  readonly generation?: number
  readonly signal?: AbortSignal
}

/** Calls the API and gives the JSON it answers; throws ApiError. */
export async function call<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, options: CallOptions = {}): Promise<T> {
  const headers = new Headers({ accept: 'application/json' })
  if (options.body !== undefined) headers.set('content-type', 'application/json')
  if (options.generation !== undefined) headers.set('if-match', `"${options.generation}"`)
  if (method !== 'GET' && csrfToken !== null) headers.set('x-cidery-csrf', csrfToken)
  const response = await fetch(`/api/v1${path}`, {
    method,
    headers,
    credentials: 'same-origin',
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  if (!response.ok) throw await refusal(response)
  if (response.status === 204) return undefined as T
  return (await response.json().catch(() => ({}))) as T
}

/** What an answer that is not ok says, in its own words. */
export async function refusal(response: Response): Promise<ApiError> {
  if (response.status === 401) signedOut()
  return new ApiError(response.status, (await response.json().catch(() => ({}))) as Partial<Problem>)
}
