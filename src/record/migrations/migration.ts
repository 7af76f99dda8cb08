import { sql, type CreateTableBuilder, type RawBuilder } from 'kysely'
import type { Store, Writer } from '../../ports/store.ts'

/** One step of the schema. Steps are never changed after a release: what is wrong is put right by the next. */
export interface Migration {
  /** 1, 2, 3, … without holes. */
  readonly number: number
  readonly name: string
  /** The lowest schema number a program must know to use the database afterwards; below `number` when the step only adds. */
  readonly minimum: number
  readonly up: (tx: Writer, kind: Store['kind']) => Promise<void>
}

export interface ColumnTypes {
  readonly integer: RawBuilder<unknown>
  readonly text: RawBuilder<unknown>
  readonly table: (name: string) => CreateTableBuilder<string>
}

/**
 * The types that mean the same on both stores: 64-bit integers that refuse anything else, and text that sorts by its bytes
 * (PostgreSQL would sort by the language of the server otherwise, and lists would differ between the stores).
 */
export function columnTypes(tx: Writer, kind: Store['kind']): ColumnTypes {
  if (kind === 'postgres') {
    return { integer: sql`bigint`, text: sql`text collate "C"`, table: (name) => tx.schema.createTable(name) }
  }
  return { integer: sql`integer`, text: sql`text`, table: (name) => tx.schema.createTable(name).modifyEnd(sql`strict`) }
}
