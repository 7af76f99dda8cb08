import { dirname, resolve } from 'node:path'
import type { NamedImage, RecipeReport } from '../../../main/cli-image.ts'
import { CideryError } from '../../../model/errors.ts'
import { defaultNameTemplate } from '../../../model/image/name.ts'
import { versionSources } from '../../../model/image/project.ts'
import type { VersionSource } from '../../../model/image/project.ts'
import type { Cli } from '../../cli.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { recipeText, recipeView } from '../../render/recipe.ts'
import { UsageError } from '../../usage-error.ts'

interface ShowOptions {
  readonly name?: string
  readonly project?: string
  readonly projectVersion?: string
  readonly versionFrom?: string
}

export const show = command<ShowOptions>({
  name: 'show',
  summary: 'read a recipe and show what it would make: steps, tools and what its lock lacks',
  examples: [
    ['cidery image show images/debian-12.yaml', 'a dry run: nothing is fetched and nothing is built'],
    ['cidery image show macos-15.image.ts --output json', 'all of it, with identities of the layers'],
    ['cidery image show macos-15.image.js --project ~/src/app', 'and the name that a build for that project has'],
  ],
  details:
    'The name needs the version of the project: from CMakeLists.txt, package.json or the tags of git, in the order of --version-from. The registry is that of its git remote, or of GITHUB_REPOSITORY.',
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [
    { flags: '--project <folder>', about: 'show the name for the project in this folder', completes: 'directory' },
    { flags: '--project-version <version>', about: 'its version, instead of looking for it' },
    { flags: '--version-from <places>', about: `where its version is looked for, in this order (default: ${versionSources.join(',')})` },
    { flags: '--name <template>', about: `template of the name (default: ${defaultNameTemplate})` },
  ],
  prints: 'view',
  async run(cli, { args: [file = ''], options }) {
    const { reportRecipe } = await import('../../../main/cli-image.ts')
    const report = await reportRecipe(resolve(cli.cwd, file)).catch(withShownPath(cli, file))
    const named = await nameFor(cli, report, options)
    const { color, output } = cli.settings
    await printThing(cli, {
      value: recipeView(report, named),
      name: report.recipe.name,
      text: () => recipeText(report, named, { color, width: cli.stdout.isTTY ? cli.stdout.columns : undefined, wide: output === 'wide' }),
    })
    return exitCodes.ok
  },
})

/** Errors name the file as it was typed, and each problem once. */
export function withShownPath(cli: Cli, file: string): (error: unknown) => never {
  const shown = (text: string) => text.replaceAll(resolve(cli.cwd, file), file)
  return (error) => {
    if (!(error instanceof CideryError)) throw error
    const problems = error.problems?.map((problem) => ({ ...problem, file: problem.file === undefined ? undefined : shown(problem.file) }))
    const message = problems === undefined ? error.message : (error.message.split('\n')[0] ?? '')
    throw new CideryError(error.code, shown(message), { hint: error.hint, problems, cause: error.cause })
  }
}

async function nameFor(cli: Cli, report: RecipeReport, options: ShowOptions): Promise<NamedImage | null> {
  const asked = options.project ?? options.projectVersion ?? options.name ?? options.versionFrom
  if (asked === undefined) return null
  const { nameOfImage } = await import('../../../main/cli-image.ts')
  return nameOfImage(report, {
    template: options.name ?? defaultNameTemplate,
    project: resolve(cli.cwd, options.project ?? dirname(report.file)),
    version: options.projectVersion,
    versionFrom: placesOf(options.versionFrom),
    env: cli.env,
  })
}

function placesOf(text: string | undefined): readonly VersionSource[] | undefined {
  if (text === undefined) return undefined
  const words = text.split(',')
  const unknown = words.find((word) => !(versionSources as readonly string[]).includes(word))
  if (unknown !== undefined)
    throw new UsageError(`--version-from: there is no place '${unknown}'`, `some of ${versionSources.join(',')}, in your order`)
  return words as VersionSource[]
}
