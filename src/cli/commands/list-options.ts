import type { OptionDeclaration } from '../declare.ts'
import { UsageError } from '../usage-error.ts'
import { integerOption } from '../values.ts'

export interface ListOptions {
  readonly limit?: string
  readonly all?: boolean
}

export const listOptions: readonly OptionDeclaration[] = [
  { flags: '--limit <count>', about: 'how many at most' },
  { flags: '--all', about: 'every one' },
]

/** How many to fetch: what was asked for, else what fits a screen. */
export function listQuery(options: ListOptions, usual: number): { readonly limit: number } {
  if (options.all === true) return { limit: Number.POSITIVE_INFINITY }
  const limit = integerOption('--limit', options.limit)
  if (limit !== undefined && limit < 1) throw new UsageError('--limit must be at least 1')
  return { limit: limit ?? usual }
}
