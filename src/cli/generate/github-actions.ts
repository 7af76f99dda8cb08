import { shellWords } from './shell-words.ts'

export interface WorkflowOptions {
  readonly name: string
  /** Paths of recipes in the repository. */
  readonly recipes: readonly string[]
  /** Path of `cidery.yaml` in the repository; undefined: the workflow looks at recipes alone. */
  readonly spec: string | undefined
  readonly branch: string
  /** Looks once more whether what the recipes name is still there; undefined: only when something changes. */
  readonly cron: string | undefined
  /** Version of cidery that is installed. */
  readonly version: string
}

interface WorkflowStep {
  readonly name: string
  readonly if?: string
  readonly env?: Readonly<Record<string, string>>
  readonly run: string
}

interface WorkflowJob {
  readonly name: string
  readonly 'runs-on': string
  readonly 'timeout-minutes': number
  readonly if?: string
  readonly needs?: readonly string[]
  readonly concurrency?: Readonly<Record<string, string | boolean>>
  readonly steps: readonly WorkflowStep[]
}

export interface Workflow {
  readonly name: string
  readonly on: Readonly<Record<string, object | null>>
  readonly permissions: Readonly<Record<string, string>>
  readonly jobs: Readonly<Record<string, WorkflowJob>>
}

/**
 * A workflow for GitHub Actions: recipes and their locks are checked with every change, a changed `cidery.yaml` is compared with what is in force, and applied when it is on the branch. It uses no
 * action of anybody, so there is none that could change under it.
 */
export function githubWorkflow(options: WorkflowOptions): Workflow {
  const { name, branch, cron, spec } = options
  return {
    name,
    on: {
      push: { branches: [branch] },
      pull_request: null,
      workflow_dispatch: null,
      ...(cron === undefined ? {} : { schedule: [{ cron }] }),
    },
    permissions: { contents: 'read' },
    jobs: {
      recipes: job({ name: 'Recipes and their locks', steps: [...prepare(options), ...recipeSteps(options)] }),
      ...(spec === undefined ? {} : specJobs(spec, options)),
    },
  }
}

function job(more: Pick<WorkflowJob, 'name' | 'steps'> & Partial<WorkflowJob>): WorkflowJob {
  return { ...more, 'runs-on': 'ubuntu-latest', 'timeout-minutes': 20 }
}

/** The commit that the run is of, by git alone. The token goes by the environment: a command line is read by everybody on the machine. */
const checkout = `git init --quiet .
git remote add origin "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.extraheader
GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 --wrap=0)"
export GIT_CONFIG_VALUE_0
git fetch --quiet --depth 1 origin "$GITHUB_SHA"
git checkout --quiet --detach FETCH_HEAD
`

function prepare({ version }: WorkflowOptions): readonly WorkflowStep[] {
  return [
    { name: 'Check out', env: { TOKEN: '${{ github.token }}' }, run: checkout },
    { name: 'Install cidery', run: `npm install --global --no-fund --no-audit cidery@${version} node@26\n` },
  ]
}

function recipeSteps({ recipes, cron }: WorkflowOptions): readonly WorkflowStep[] {
  const lines = (command: (recipe: string) => string) => recipes.map((recipe) => `${command(shellWords([recipe]))}\n`).join('')
  return [
    { name: 'Show what each makes', run: lines((recipe) => `cidery image show ${recipe}`) },
    { name: 'Are the locks full?', run: lines((recipe) => `cidery image lock ${recipe} --check`) },
    ...(cron === undefined
      ? []
      : [
          {
            name: 'Is there anything newer?',
            if: "github.event_name == 'schedule'",
            run: `${lines((recipe) => `cidery image lock ${recipe}`)}git diff --exit-code || { echo "::notice::what the recipes name has changed; commit the new locks"; exit 1; }\n`,
          },
        ]),
  ]
}

/** Address and token of the controller; both are secrets of the repository. */
const controller = { CIDERY_URL: '${{ secrets.CIDERY_URL }}', CIDERY_TOKEN: '${{ secrets.CIDERY_TOKEN }}' }

function specJobs(spec: string, options: WorkflowOptions): Readonly<Record<string, WorkflowJob>> {
  const file = shellWords([spec])
  const onBranch = `github.ref == 'refs/heads/${options.branch}' && github.event_name == 'push'`
  return {
    plan: job({
      name: 'What the spec would change',
      // A fork's run has no secrets.
      if: "github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name == github.repository",
      steps: [...prepare(options), { name: 'Plan', env: controller, run: `cidery plan --file ${file}\n` }],
    }),
    apply: job({
      name: 'Apply the spec',
      if: onBranch,
      needs: ['recipes'],
      // One after the other, and none is broken off.
      concurrency: { group: 'cidery-apply', 'cancel-in-progress': false },
      steps: [...prepare(options), { name: 'Apply', env: controller, run: `cidery apply --file ${file} --yes\n` }],
    }),
  }
}
