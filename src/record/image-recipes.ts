import { hash } from 'node:crypto'
import { canonicalJson } from '../model/canonical-json.ts'
import type { ImageLine } from '../model/image/line.ts'
import { recipeIdentity, type RecipeIdentity } from '../model/image/recipe-identity.ts'
import type { Reader } from '../ports/store.ts'
import type { RecordTx } from './commit.ts'
import { readLine, saveLine } from './image-lines.ts'
import { recipeDocOf, type RecipeDoc, type RecipeRow } from './image-rows.ts'

const sha256 = (text: string): string => hash('sha256', text)

export async function findRecipe(db: Reader, image: string, generation: number): Promise<RecipeRow | null> {
  const row = await db
    .selectFrom('image_recipes')
    .selectAll()
    .where('image', '=', image)
    .where('generation', '=', generation)
    .executeTakeFirst()
  return row ?? null
}

/** The recipe that is in force for an image. */
export async function currentRecipe(db: Reader, image: string): Promise<RecipeRow | null> {
  const row = await db.selectFrom('image_recipes').selectAll().where('image', '=', image).orderBy('generation', 'desc').executeTakeFirst()
  return row ?? null
}

export interface GivenRecipe extends Omit<RecipeDoc, 'identity'> {
  /** Digest of the blob with the recipe's files; null when it has none. */
  readonly files: string | null
}

/** Puts a recipe into force. One that says the same as before changes nothing. */
export async function putRecipe(
  tx: RecordTx,
  image: string,
  { files, ...given }: GivenRecipe,
): Promise<{ readonly line: ImageLine; readonly changed: boolean }> {
  const before = await currentRecipe(tx.db, image)
  const line = await readLine(tx.db, image)
  const doc: RecipeDoc = { ...given, identity: await identityOf(tx.db, given) }
  if (before !== null && before.files === files && canonicalJson(recipeDocOf(before)) === canonicalJson(doc))
    return { line, changed: false }
  await addRecipe(tx, image, { files, doc, generation: (before?.generation ?? 0) + 1 })
  await saveLine(tx, line, {})
  tx.note('image.recipeSet', `image/${image}`, {
    data: { version: doc.recipe.version, identity: doc.identity?.identity ?? null, was: before?.identity ?? null },
  })
  return { line: await readLine(tx.db, image), changed: true }
}

async function addRecipe(
  tx: RecordTx,
  image: string,
  { files, doc, generation }: { readonly files: string | null; readonly doc: RecipeDoc; readonly generation: number },
): Promise<void> {
  await tx.db
    .insertInto('image_recipes')
    .values({
      image,
      generation,
      files,
      identity: doc.identity?.identity ?? null,
      set_by: tx.author.actor,
      set_at: tx.now,
      doc: JSON.stringify(doc),
    })
    .execute()
  await removeUnused(tx, image, generation)
}

/** Recipes of the past are only kept for builds under way. */
async function removeUnused(tx: RecordTx, image: string, inForce: number): Promise<void> {
  const rows = await tx.db
    .selectFrom('builds')
    .select('doc')
    .where('image', '=', image)
    .where('state', '=', 'building')
    .orderBy('id')
    .execute()
  const used = rows.map(({ doc }) => (JSON.parse(doc) as { recipeGeneration: number | null }).recipeGeneration ?? 0)
  await tx.db
    .deleteFrom('image_recipes')
    .where('image', '=', image)
    .where('generation', 'not in', [inForce, ...used])
    .execute()
}

/** What the recipe makes, with its base as it is now; null while the line that it starts from has nothing that jobs get. */
async function identityOf(db: Reader, { recipe, digests, lock }: Omit<RecipeDoc, 'identity'>): Promise<RecipeIdentity | null> {
  const base = await baseDigest(db, { recipe, lock })
  if (base === null) return null
  const entries = (record: Readonly<Record<string, string>>) => new Map(Object.entries(record))
  const ingredients = { base, files: entries(digests), downloads: entries(lock.downloads), packages: entries(lock.packages) }
  return recipeIdentity(recipe, ingredients, sha256)
}

async function baseDigest(db: Reader, { recipe: { base }, lock }: Pick<RecipeDoc, 'recipe' | 'lock'>): Promise<string | null> {
  switch (base.kind) {
    case 'ipsw':
      return base.sha256
    case 'oci':
      return lock.base ?? base.reference
    case 'debian':
      return lock.base ?? `debian:${base.suite}`
    case 'image':
      // Of the build, not of its recipe: another build of the same recipe has other bytes.
      return (await readLine(db, base.image)).promoted
  }
}

/** Another build of a line is promoted: what starts from it is to be built anew. */
export async function renewDependents(tx: RecordTx, image: string): Promise<void> {
  const rows = await tx.db.selectFrom('image_recipes').select(['image', 'generation']).orderBy('image').orderBy('generation').execute()
  for (const [name, generation] of new Map(rows.map((row) => [row.image, row.generation]))) {
    const row = await findRecipe(tx.db, name, generation)
    const doc = row === null ? null : recipeDocOf(row)
    if (row === null || doc?.recipe.base.kind !== 'image' || doc.recipe.base.image !== image) continue
    const identity = await identityOf(tx.db, doc)
    await addRecipe(tx, name, { files: row.files, doc: { ...doc, identity }, generation: generation + 1 })
    await saveLine(tx, await readLine(tx.db, name), {})
  }
}

/** Blobs that recipes in force, and builds under way, start from. */
export async function digestsOfRecipes(db: Reader): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('image_recipes')
    .select('files')
    .where('files', 'is not', null)
    .orderBy('image')
    .orderBy('generation')
    .execute()
  return rows.flatMap(({ files }) => files ?? [])
}
