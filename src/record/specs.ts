import { CideryError } from '../model/errors.ts'
import type { Reader, Writer } from '../ports/store.ts'
import { compiledOnce } from './compiled.ts'

/** One version of the spec as its author wrote it, comments and all. */
export interface StoredSpec {
  readonly generation: number
  readonly source: string
  readonly appliedAt: number
  readonly appliedBy: string
}

/** What a fresh controller starts from: generation 0, one pool and one queue named `default`. */
export const firstSpec: StoredSpec = {
  generation: 0,
  source: 'version: 1\npools:\n  default: {}\nqueues:\n  default: {}\n',
  appliedAt: 0,
  appliedBy: 'system',
}

/** The spec in force. */
export async function readSpec(db: Reader): Promise<StoredSpec> {
  const row = await db.selectFrom('specs').selectAll().orderBy('generation', 'desc').limit(1).executeTakeFirst()
  if (row === undefined) return firstSpec
  return { generation: row.generation, source: row.source, appliedAt: row.applied_at, appliedBy: row.applied_by }
}

/** Generation of the spec in force: cheap enough to ask before each pass. */
export async function readSpecGeneration(db: Reader): Promise<number> {
  const [row] = await newestGeneration(db)
  return row?.generation ?? firstSpec.generation
}

const newestGeneration = compiledOnce((db: Reader) => db.selectFrom('specs').select('generation').orderBy('generation', 'desc').limit(1))

/** Puts a spec in force whose generation is one above the present one. Throws STALE_GENERATION when another one came first. */
export async function applySpec(tx: Writer, spec: StoredSpec): Promise<void> {
  const present = await readSpecGeneration(tx)
  if (spec.generation !== present + 1) {
    throw new CideryError('STALE_GENERATION', 'the spec changed since it was read', {
      hint: 'cidery plan shows what differs now',
      details: { generation: present },
    })
  }
  await tx
    .insertInto('specs')
    .values({ generation: spec.generation, source: spec.source, applied_at: spec.appliedAt, applied_by: spec.appliedBy })
    .execute()
}
