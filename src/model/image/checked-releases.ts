import { CideryError } from '../errors.ts'
import { didYouMean } from '../input-problems.ts'
import { macosReleases } from './guest.ts'
import type { MacosRelease } from './guest.ts'
import { RecipeVersion } from './recipe.ts'

/** What hosts of the predecessors looked after where `MACOS_VERSIONS_TO_CHECK` was not set. */
export const defaultReleases = '13 14'
/** The recipe that they demanded; here what holds where `REQUIRED_BOOTSTRAP_VERSION` is not set. */
export const defaultRecipeVersion = '3.6'

const known = Object.keys(macosReleases)
const isRelease = (word: string): word is MacosRelease => known.includes(word)

/**
 * Releases of macOS that a host looks after, from `MACOS_VERSIONS_TO_CHECK` or a list in a file: words with spaces or commas between. It builds, reports and offers no other.
 * INVALID_INPUT for a list that is empty, names one twice or names one that is not known.
 *
 * @example readReleases('13, 14', 'MACOS_VERSIONS_TO_CHECK') // ['13', '14']
 */
export function readReleases(text: string | undefined, from: string): readonly MacosRelease[] {
  const words = (text ?? defaultReleases).split(/[\s,]+/).filter((word) => word !== '')
  const problem = releasesProblem(words)
  if (problem === null) return words.filter(isRelease)
  throw new CideryError('INVALID_INPUT', `${from}: ${problem}`, {
    hint: `releases of macOS with spaces between, such as ${from}="${defaultReleases}"`,
    problems: [{ path: from, message: problem, accepted: known }],
  })
}

function releasesProblem(words: readonly string[]): string | null {
  if (words.length === 0) return 'it names no release of macOS'
  const unknown = words.find((word) => !isRelease(word))
  if (unknown !== undefined)
    return `there is no macOS "${unknown.slice(0, 30)}"${didYouMean(unknown, known)} (accepted: ${known.join(', ')})`
  const double = words.find((word, index) => words.indexOf(word) !== index)
  return double === undefined ? null : `${double} is there twice`
}

/** The recipe that images must be built from, from `REQUIRED_BOOTSTRAP_VERSION`. INVALID_INPUT for what is no version. */
export function readRequiredRecipe(text: string | undefined): string {
  const result = RecipeVersion.safeParse(text ?? defaultRecipeVersion)
  if (result.success) return result.data
  throw new CideryError('INVALID_INPUT', `REQUIRED_BOOTSTRAP_VERSION: ${result.error.issues[0]?.message ?? 'no version'}`, {
    hint: `a version of a recipe, such as ${defaultRecipeVersion}`,
  })
}

/** Images whose guest is one of the releases: all that a host may build, report and offer. */
export function imagesOfReleases<T extends { readonly release: string }>(
  images: readonly T[],
  releases: readonly MacosRelease[],
): readonly T[] {
  return images.filter(({ release }) => isRelease(release) && releases.includes(release))
}
