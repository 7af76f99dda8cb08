import { canonicalJson } from '../canonical-json.ts'
import { CideryError } from '../errors.ts'
import { recipeFiles } from './recipe.ts'
import type { Layer, Recipe } from './recipe.ts'
import { packageOf } from './step.ts'
import type { Step } from './step.ts'

/** What is not in the recipe's own text, and goes into the image all the same. */
export interface Ingredients {
  /** Digest of the base: manifest, restore image, state of the packages, or the build of the image below. */
  readonly base: string
  /** Digests of the files and folders of `recipeFiles`, by path. */
  readonly files: ReadonlyMap<string, string>
  /** SHA-256 of downloads, by URL; what the lock has. */
  readonly downloads: ReadonlyMap<string, string>
  /** Versions by `apt/gcc`; what the lock has. */
  readonly packages: ReadonlyMap<string, string>
}

export interface LayerIdentity {
  readonly name: string
  /** SHA-256 over the base and every layer up to this one: builds whose identities are the same here have the same disk here. */
  readonly identity: string
}

export interface RecipeIdentity {
  /** Of the whole image: recipe, base and engine. The same identity is not built again. */
  readonly identity: string
  /** Of the recipe alone, with the bytes of its files and what its lock says. */
  readonly recipe: string
  readonly layers: readonly LayerIdentity[]
}

/** SHA-256 of a text as 64 hexadecimal digits. */
export type Sha256 = (text: string) => string

/** Raised when identities are made in another way: caches of the old one are then not used. */
const form = 1

/**
 * Names what a recipe makes. Order of keys, spaces and comments of its file do not count; every field of a step counts for its layer and those above.
 * INVALID_INPUT when the digest of a file is not there.
 */
export function recipeIdentity(recipe: Recipe, ingredients: Ingredients, sha256: Sha256): RecipeIdentity {
  const { layers, engine, ...rest } = recipe
  requireFiles(recipe, ingredients.files)
  const identityOf = (value: unknown) => sha256(canonicalJson(value))
  const own = layers.map((layer) => ({ name: layer.name, steps: stepsWithBytes(layer, ingredients) }))
  const recipeHash = identityOf({ form, ...rest, layers: own })

  let below = identityOf({ form, engine, guest: recipe.guest, disk: recipe.machine.disk, base: ingredients.base })
  const identities = own.map((layer): LayerIdentity => {
    below = identityOf({ below, layer })
    return { name: layer.name, identity: below }
  })
  return { identity: identityOf({ recipe: recipeHash, base: ingredients.base, engine }), recipe: recipeHash, layers: identities }
}

function requireFiles(recipe: Recipe, files: ReadonlyMap<string, string>): void {
  const absent = recipeFiles(recipe).filter((path) => !files.has(path))
  if (absent.length === 0) return
  throw new CideryError('INVALID_INPUT', `recipe ${recipe.name} names files that are not there: ${absent.join(', ')}`, {
    hint: 'paths are below the folder of the recipe',
  })
}

function stepsWithBytes({ steps }: Layer, ingredients: Ingredients): readonly unknown[] {
  return steps.map((step) => ({ step, bytes: bytesOf(step, ingredients) }))
}

/** Digests of what a step brings in from elsewhere. */
function bytesOf(step: Step, { files, downloads, packages }: Ingredients): unknown {
  switch (step.kind) {
    case 'copy':
      return files.get(step.from)
    case 'shell':
      return 'file' in step.source ? files.get(step.source.file) : null
    case 'download':
      return downloads.get(step.url) ?? null
    case 'packages':
      return step.list.map((text) => packages.get(`${step.manager}/${packageOf(step.manager, text).name}`) ?? null)
    case 'reboot':
      return null
  }
}

/** How many layers of a build are there already: the highest one whose identity is kept. 0: it starts from the base. */
export function keptLayers(identity: Pick<RecipeIdentity, 'layers'>, kept: ReadonlySet<string>): number {
  return identity.layers.findLastIndex(({ identity: layer }) => kept.has(layer)) + 1
}
