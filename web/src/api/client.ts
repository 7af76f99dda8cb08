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
  if (response.status === 204) return undefined as T
  const body: unknown = await response.json().catch(() => ({}))
  if (!response.ok) throw new ApiError(response.status, body as Partial<Problem>)
  return body as T
}
