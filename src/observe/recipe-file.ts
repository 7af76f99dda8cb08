import { CideryError } from '../model/errors.ts'
import type { InputProblem } from '../model/errors.ts'
import { Recipe, recipeProblems } from '../model/image/recipe.ts'
import { inputProblems } from '../model/input-problems.ts'
import { readYaml, type YamlForm } from './typed-yaml.ts'

const recipeForm: YamlForm<Recipe> = {
  schema: Recipe,
  what: 'the recipe',
  hint: 'correct the lines named, then cidery image show',
  after: recipeProblems,
}

/**
 * Reads a recipe in YAML. Throws INVALID_INPUT with one problem per mistake: file, line, column, the field and what would be accepted.
 *
 * @example readRecipeFile('name: macos-15\nversion: 3.6\n…', 'macos-15.yaml') // macos-15.yaml:2:1: version: a version in quotes, …
 */
export function readRecipeFile(source: string, file: string): Recipe {
  return readYaml(recipeForm, source, file)
}

/** Reads what a `*.image.ts` gave as its default export. Problems name file and field; a module has no line of a value. */
export function readRecipeValue(value: unknown, file: string): Recipe {
  const result = Recipe.safeParse(value ?? {}, { reportInput: true })
  const found = result.success ? recipeProblems(result.data) : inputProblems(result.error, Recipe)
  if (result.success && found.length === 0) return result.data
  const problems = found.slice(0, 50).map((problem): InputProblem => ({ ...problem, file }))
  throw new CideryError('INVALID_INPUT', `the recipe is not accepted:\n${problems.map(lineOf).join('\n')}`, {
    problems,
    hint: 'correct the fields named, then cidery image show',
  })
}

function lineOf({ file = '', path, message, accepted }: InputProblem): string {
  const more =
    accepted === undefined || accepted.length === 0 || message.startsWith('accepted:') ? '' : ` (accepted: ${accepted.join(', ')})`
  return `${file}: ${path === '' ? '' : `${path}: `}${message}${more}`
}
