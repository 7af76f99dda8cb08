import type { Api, Query } from './api.ts'
import type { Page } from './views.ts'

const largestPage = 500
/** A list longer than this is cut: nobody reads it, and memory has an end. */
const mostItems = 100_000

/** Reads pages of a list until `limit` items are there or the list ends; `nextCursor` is null at its end. */
export async function listAll<T>(api: Api, path: string, options: { readonly query?: Query; readonly limit: number }): Promise<Page<T>> {
  const items: T[] = []
  const wanted = Math.min(options.limit, mostItems)
  let cursor: string | null = null
  do {
    const page: Page<T> = await api.get<Page<T>>(path, {
      query: { ...options.query, limit: Math.min(largestPage, wanted - items.length), ...(cursor === null ? {} : { cursor }) },
    })
    items.push(...page.items)
    cursor = page.items.length === 0 ? null : page.nextCursor
  } while (cursor !== null && items.length < wanted)
  return { items, nextCursor: cursor }
}
