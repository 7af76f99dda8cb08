import { CideryError } from '../model/errors.ts'
import { emptyLine, type ImageLine } from '../model/image/line.ts'
import type { Reader } from '../ports/store.ts'
import { chunks } from './chunks.ts'
import type { RecordTx } from './commit.ts'
import { lineOf, lineRow, type RecipeRow } from './image-rows.ts'

/** Lines that something happened to, by name; all of them, or some. */
export async function readLines(db: Reader, names: readonly string[] | null): Promise<readonly ImageLine[]> {
  const lines: ImageLine[] = []
  for (const part of names === null ? [null] : chunks(names, 500)) {
    let query = db.selectFrom('image_lines').selectAll()
    if (part !== null) query = query.where('name', 'in', part)
    const rows = await query.orderBy('name').execute()
    if (rows.length === 0) continue
    const recipes = await readRecipesInForce(
      db,
      rows.map(({ name }) => name),
    )
    for (const row of rows) lines.push(lineOf(row, recipes.get(row.name)))
  }
  return lines
}

/** A line as it is; one that nothing happened to yet has generation 0. */
export async function readLine(db: Reader, name: string): Promise<ImageLine> {
  const [line] = await readLines(db, [name])
  return line ?? emptyLine(name)
}

/** A line without its recipe: for what happens with every job. */
export async function readBareLine(db: Reader, name: string): Promise<ImageLine> {
  const row = await db.selectFrom('image_lines').selectAll().where('name', '=', name).executeTakeFirst()
  return row === undefined ? emptyLine(name) : lineOf(row, undefined)
}

async function readRecipesInForce(db: Reader, images: readonly string[]): Promise<ReadonlyMap<string, RecipeRow>> {
  const rows = await db
    .selectFrom('image_recipes')
    .selectAll()
    .where('image', 'in', images)
    .orderBy('image')
    .orderBy('generation')
    .execute()
  return new Map(rows.map((row) => [row.image, row]))
}

export type LineChange = Partial<Omit<ImageLine, 'name' | 'generation' | 'recipe'>>

/** Writes a line back if nobody changed it since it was read; raises its generation. STALE_GENERATION when somebody did. */
export async function saveLine(tx: RecordTx, before: ImageLine, change: LineChange): Promise<ImageLine> {
  const after: ImageLine = { ...before, ...change, generation: before.generation + 1 }
  const row = lineRow(after)
  if (before.generation === 0) {
    const added = await tx.db
      .insertInto('image_lines')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst()
    if (added.numInsertedOrUpdatedRows === 0n) throw changed(before)
  } else {
    const done = await tx.db
      .updateTable('image_lines')
      .set({ generation: row.generation, doc: row.doc })
      .where('name', '=', before.name)
      .where('generation', '=', before.generation)
      .executeTakeFirst()
    if (done.numUpdatedRows === 0n) throw changed(before)
  }
  tx.touch('image', before.name)
  return after
}

/** Counts what jobs did, which is none of the things that a step is decided by: the generation stays. */
export async function countInLine(tx: RecordTx, line: ImageLine, change: Pick<LineChange, 'canary'>): Promise<void> {
  const { doc } = lineRow({ ...line, ...change })
  await tx.db.updateTable('image_lines').set({ doc }).where('name', '=', line.name).where('generation', '=', line.generation).execute()
  tx.touch('image', line.name)
}

function changed({ name }: ImageLine): CideryError {
  return new CideryError('STALE_GENERATION', `the image ${name} changed since it was read`, {
    hint: `cidery image show ${name}, then try again`,
  })
}
