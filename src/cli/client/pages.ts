import type { Api, Query } from './api.ts'
import type { Page } from './views.ts'

const largestPage = 500
/** A list longer than this is cut: nobody reads it, and memory has an end. */
const mostItems = 100_000

/** Short lists that come whole. */
const unpaged = /^\/(?:pools|queues|sandboxes|hosts\/[^/]+\/operations)$/

/** What to ask of a list so that it answers with at most `limit` items of its page. */
export function pageQuery(path: string, limit: number): Query {
  return unpaged.test(path) ? {} : { limit: Math.min(largestPage, limit) }
}

/** Reads pages of a list until `limit` items are there or the list ends; `nextCursor` is null at its end. */
export async function listAll<T>(api: Api, path: string, options: { readonly query?: Query; readonly limit: number }): Promise<Page<T>> {
  const items: T[] = []
  const wanted = Math.min(options.limit, mostItems)
  let cursor: string | null = null
  do {
    const page: Page<T> = await api.get<Page<T>>(path, {
      query: { ...options.query, ...pageQuery(path, wanted - items.length), ...(cursor === null ? {} : { cursor }) },
    })
    items.push(...page.items)
    cursor = page.items.length === 0 ? null : page.nextCursor
  } while (cursor !== null && items.length < wanted)
  return { items, nextCursor: cursor }
}
