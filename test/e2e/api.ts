import type { JobView } from '../../src/model/api.ts'

/** The public API as a stranger would call it: `fetch` and a token. Loopback only; TLS is the CLI's part. */
export interface Api {
  get<T>(path: string): Promise<T>
  post<T>(path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<T>
  text(path: string): Promise<string>
}

export class RefusedCall extends Error {
  readonly status: number
  constructor(status: number, text: string) {
    super(`${status}: ${text.slice(0, 500)}`)
    this.status = status
  }
}

/** `address` is asked anew at each call: a restarted controller may listen elsewhere. */
export function apiOf(address: () => { readonly url: string; readonly token: string }): Api {
  const call = async (
    method: string,
    path: string,
    options: { body?: unknown; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Response> => {
    const { url, token } = address()
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      signal: AbortSignal.timeout(30_000),
    })
    if (!response.ok) throw new RefusedCall(response.status, await response.text())
    return response
  }
  return {
    async get<T>(path: string) {
      return (await (await call('GET', path)).json()) as T
    },
    async post<T>(path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}) {
      const response = await call('POST', path, { body: body ?? {}, headers })
      return (response.status === 204 ? undefined : await response.json()) as T
    },
    async text(path) {
      return (await call('GET', path)).text()
    },
  }
}

/** Every job there is, all pages. */
export async function allJobs(api: Api): Promise<readonly JobView[]> {
  const jobs: JobView[] = []
  let cursor: string | null = null
  do {
    const page: { items: readonly JobView[]; nextCursor: string | null } = await api.get(
      `/jobs?limit=500${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    )
    jobs.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null)
  return jobs
}
