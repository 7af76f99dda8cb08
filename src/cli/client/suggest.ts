import { CideryError } from '../../model/errors.ts'
import type { Api } from './api.ts'
import { nearest } from './nearest.ts'
import { pageQuery } from './pages.ts'
import type { Page } from './views.ts'

/** Lists whose things people call by a name. */
export const namedLists = {
  host: '/hosts',
  pool: '/pools',
  queue: '/queues',
  sandbox: '/sandboxes',
  user: '/users',
} as const

export type NamedKind = keyof typeof namedLists

/** Runs a call about a named thing; when there is none of that name, the error suggests the nearest one that there is. */
export async function withSuggestion<T>(
  api: Api,
  named: { readonly kind: NamedKind; readonly name: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof CideryError) || error.code !== 'NOT_FOUND') throw error
    const names = await namesOf(api, named.kind)
    const near = nearest(named.name, names)
    const hint = near === undefined ? `cidery ${named.kind} ls` : `did you mean ${near}?`
    throw new CideryError('NOT_FOUND', `there is no ${named.kind} '${named.name}'`, { hint, details: error.details })
  }
}

async function namesOf(api: Api, kind: NamedKind): Promise<readonly string[]> {
  try {
    const page = await api.get<Page<{ readonly name: string }>>(namedLists[kind], { query: pageQuery(namedLists[kind], 500) })
    return page.items.map((item) => item.name)
  } catch {
    // The first error is the one to tell; without the list there is just no suggestion.
    return []
  }
}
