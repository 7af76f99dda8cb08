import { CideryError } from '../../model/errors.ts'
import type { Api } from './api.ts'
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

/** The name that needs the fewest changes of single letters, when they are few for its length. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of names) {
    const distance = editDistance(word, name)
    if (distance <= Math.max(1, Math.floor(Math.max(word.length, name.length) * 0.4)) && (best === undefined || distance < best.distance))
      best = { name, distance }
  }
  return best?.name
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const swap = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + swap))
    }
    row = next
  }
  return row[b.length] ?? 0
}
