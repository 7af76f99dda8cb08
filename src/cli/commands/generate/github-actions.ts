import { cronProblem } from '../../../model/schedule.ts'
import { command, exitCodes } from '../../declare.ts'
import { githubWorkflow } from '../../generate/github-actions.ts'
import { UsageError } from '../../usage-error.ts'
import { printGenerated } from './print-generated.ts'

interface GithubOptions {
  readonly recipe?: readonly string[]
  readonly spec?: string
  readonly branch?: string
  readonly cron?: string
}

export const githubActions = command<GithubOptions>({
  name: 'github-actions',
  summary: 'print a workflow of GitHub Actions that checks recipes and applies cidery.yaml',
  examples: [
    [
      'cidery generate github-actions --recipe images/macos-15.image.ts > .github/workflows/cidery.yml',
      'checks the recipe with every change, and once a day',
    ],
    [
      'cidery generate github-actions --recipe images/macos-15.image.ts --spec cidery.yaml',
      'plans cidery.yaml in pull requests, applies it on main',
    ],
  ],
  details:
    'The workflow uses no action of anybody, only git, npm and this program in its own version. With --spec, the secrets CIDERY_URL and CIDERY_TOKEN of the repository say where the controller is; pull requests of forks do not get them.',
  options: [
    { flags: '--recipe <file>', about: 'path of a recipe in the repository', many: true, completes: 'file' },
    { flags: '--spec <file>', about: 'path of cidery.yaml in the repository', completes: 'file' },
    { flags: '--branch <name>', about: 'branch whose spec is in force (default: main)' },
    { flags: '--cron <line>', about: 'when it looks for newer ingredients, in UTC (default: 0 2 * * *)' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const recipes = options.recipe ?? []
    if (recipes.length === 0) throw new UsageError('say which recipes', 'cidery generate github-actions --recipe images/macos-15.image.ts')
    for (const path of [...recipes, ...(options.spec === undefined ? [] : [options.spec])]) {
      if (/^\/|(?:^|\/)\.\.(?:\/|$)|[\n\0]|^-/.test(path))
        throw new UsageError(`'${path}' is no path in a repository`, 'one such as images/macos-15.image.ts')
    }
    const branch = options.branch ?? 'main'
    if (!/^[\w./-]{1,200}$/.test(branch)) throw new UsageError(`--branch '${branch}' is no name of a branch`)
    const cron = options.cron ?? '0 2 * * *'
    const problem = cronProblem(cron)
    if (problem !== null) throw new UsageError(`--cron '${cron}': ${problem}`)
    const { stringify } = await import('yaml')
    const workflow = githubWorkflow({ name: 'cidery', recipes, spec: options.spec, branch, cron, version: cli.version })
    const text = `# Made by cidery generate github-actions.\n${stringify(workflow, { lineWidth: 0, nullStr: '', aliasDuplicateObjects: false })}`
    await printGenerated(cli, { file: '.github/workflows/cidery.yml', text })
    return exitCodes.ok
  },
})
