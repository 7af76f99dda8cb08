import type { RecipeInput } from './recipe.ts'

/**
 * Gives the recipe of a `*.image.ts` its type; it is checked where it is read.
 *
 * @example export default defineImage({ name: 'macos-15', version: '3.6', engine: 'tart', … })
 */
export function defineImage(recipe: RecipeInput): RecipeInput {
  return recipe
}
