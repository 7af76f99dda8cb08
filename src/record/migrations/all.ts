import { base } from './0001-base.ts'
import { images } from './0002-images.ts'
import type { Migration } from './migration.ts'

/** Every step of the schema, in order. A new one is one file and one line here. */
export const migrations: readonly Migration[] = [base, images]
