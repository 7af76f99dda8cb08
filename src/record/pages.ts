import { CideryError } from '../model/errors.ts'

/** Where a list goes on: the last row's sort value and id. Opaque to callers. */
export interface Cursor {
  readonly at: number | string
  readonly id: string
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

export interface PageRequest {
  readonly cursor?: string | undefined
  readonly limit: number
}

export function writeCursor(cursor: Cursor): string {
  return Buffer.from(JSON.stringify([cursor.at, cursor.id])).toString('base64url')
}

/** Reads a cursor that `writeCursor` made; INVALID_INPUT for anything else. */
export function readCursor(text: string): Cursor {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    if (Array.isArray(value) && value.length === 2) {
      const [at, id] = value as unknown[]
      if ((typeof at === 'number' || typeof at === 'string') && typeof id === 'string') return { at, id }
    }
  } catch {
    // Not JSON: the same answer as for JSON of another shape.
  }
  throw new CideryError('INVALID_INPUT', 'the cursor is not one that a list answered', {
    hint: 'take nextCursor of the page before, unchanged',
  })
}

/** Makes a page of `limit + 1` rows that were asked for: the row too many says that there is a next page. */
export function pageOfRows<R, T>(
  rows: readonly R[],
  limit: number,
  how: { readonly item: (row: R) => T; readonly cursor: (row: R) => Cursor },
): Page<T> {
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  return {
    items: shown.map((row) => how.item(row)),
    nextCursor: rows.length > limit && last !== undefined ? writeCursor(how.cursor(last)) : null,
  }
}
