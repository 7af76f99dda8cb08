import type { Selectable } from 'kysely'
import type { BuildId, HostId } from '../model/id.ts'
import type { BuildState, DesiredBuild, ImageBuild } from '../model/image/build.ts'
import { emptyLine, type ImageHold, type ImageLine, type ImageOnHost, type RecipeHead } from '../model/image/line.ts'
import type { RecipeIdentity } from '../model/image/recipe-identity.ts'
import type { Recipe } from '../model/image/recipe.ts'
import type { Tables } from '../ports/store.ts'

export type BuildRow = Selectable<Tables['builds']>
export type LineRow = Selectable<Tables['image_lines']>
export type RecipeRow = Selectable<Tables['image_recipes']>
export type HoldRow = Selectable<Tables['image_holds']>
export type ImageHostRow = Selectable<Tables['image_hosts']>

type BuildDoc = Omit<ImageBuild, 'id' | 'image' | 'name' | 'state' | 'generation' | 'revision' | 'createdAt' | 'endedAt'>

export function buildOf(row: BuildRow): ImageBuild {
  const doc = JSON.parse(row.doc) as BuildDoc
  return {
    ...doc,
    id: row.id as BuildId,
    image: row.image,
    name: row.name,
    state: row.state as BuildState,
    generation: row.generation,
    revision: row.revision,
    createdAt: row.created_at,
    endedAt: row.ended_at,
  }
}

export function buildRow(build: ImageBuild): BuildRow {
  const { id, image, name, state, generation, revision, createdAt, endedAt, ...doc } = build
  return {
    id,
    image,
    name,
    state,
    generation,
    revision,
    host_id: build.origin.kind === 'built' ? build.origin.hostId : null,
    created_at: createdAt,
    ended_at: endedAt,
    doc: JSON.stringify(doc satisfies BuildDoc),
  }
}

type LineDoc = Omit<ImageLine, 'name' | 'generation' | 'recipe'>

/** A line with the recipe that is in force. */
export function lineOf(row: LineRow, recipe: RecipeRow | undefined): ImageLine {
  const doc = JSON.parse(row.doc) as LineDoc
  return { ...emptyLine(row.name), ...doc, generation: row.generation, recipe: recipe === undefined ? null : headOf(recipe) }
}

export function lineRow(line: ImageLine): LineRow {
  const { name, generation, recipe: _, ...doc } = line
  return { name, generation, doc: JSON.stringify(doc satisfies LineDoc) }
}

/** What was given for a line, whole. */
export interface RecipeDoc {
  readonly recipe: Recipe
  /** With the base as it was when it was last looked at; null: it had none. */
  readonly identity: RecipeIdentity | null
  /** SHA-256 of the recipe's files, by path. */
  readonly digests: Readonly<Record<string, string>>
  readonly lock: DesiredBuild['lock']
  readonly productVersion: string | null
}

export function recipeDocOf(row: RecipeRow): RecipeDoc {
  return JSON.parse(row.doc) as RecipeDoc
}

const mebibyte = 1024 ** 2

function headOf(row: RecipeRow): RecipeHead {
  const { recipe, lock } = recipeDocOf(row)
  const { base, machine } = recipe
  return {
    generation: row.generation,
    version: recipe.version,
    engine: recipe.engine,
    identity: row.identity,
    baseImage: base.kind === 'image' ? base.image : null,
    baseFloats: (base.kind === 'oci' || base.kind === 'debian') && lock.base === null,
    shape: { cpu: machine.cpu, memoryMiB: Math.ceil(machine.memory / mebibyte), diskMiB: Math.ceil(machine.disk / mebibyte) },
    timeout: recipe.timeouts.build,
  }
}

type HoldDoc = Pick<ImageHold, 'bandwidth' | 'since' | 'tries'>

export function holdOf(row: HoldRow): ImageHold {
  const doc = JSON.parse(row.doc) as HoldDoc
  return { ...doc, hostId: row.host_id as HostId, buildId: row.build_id as BuildId, image: row.image, fetch: row.fetch === 1 }
}

export function holdRow(hold: ImageHold): HoldRow {
  const { hostId, buildId, image, fetch, bandwidth, since, tries } = hold
  const doc = JSON.stringify({ bandwidth, since, tries } satisfies HoldDoc)
  return { host_id: hostId, build_id: buildId, image, fetch: fetch ? 1 : 0, doc }
}

type ImageHostDoc = Pick<ImageOnHost, 'forced' | 'readyBuild' | 'readySince'>

export function imageOnHostOf(row: ImageHostRow): ImageOnHost {
  return { ...(JSON.parse(row.doc) as ImageHostDoc), hostId: row.host_id as HostId, image: row.image }
}

export function imageHostRow(state: ImageOnHost): ImageHostRow {
  const { hostId, image, ...doc } = state
  return { host_id: hostId, image, doc: JSON.stringify(doc satisfies ImageHostDoc) }
}
