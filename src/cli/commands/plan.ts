import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Cli } from '../cli.ts'
import { openApi } from '../client/api.ts'
import { checkSpec } from '../client/spec.ts'
import type { WaitingView } from '../client/views.ts'
import { command, exitCodes } from '../declare.ts'
import { printThing } from '../render/output.ts'
import { renderSpecDiff } from '../render/spec-diff.ts'
import { paint } from '../render/style.ts'
import { cleanLines, cleanText } from '../render/text.ts'
import { waitingLines } from '../render/waiting.ts'
import { UsageError } from '../usage-error.ts'

interface PlanOptions {
  readonly file?: string
  readonly exitCode?: boolean
}

interface PlanView {
  readonly steps: readonly ({ readonly kind: string } & Readonly<Record<string, unknown>>)[]
  readonly waiting: readonly WaitingView[]
}

export const plan = command<PlanOptions>({
  name: 'plan',
  summary: 'show what cidery is about to do and what it waits for, or what a changed cidery.yaml would do',
  examples: [
    ['cidery plan', 'the steps of now, and why the rest waits'],
    ['cidery plan -f cidery.yaml', 'what applying this file would change; nothing is changed'],
    ['cidery plan -f cidery.yaml --exit-code', 'exit code 3 when it would change something'],
  ],
  options: [
    { flags: '-f, --file <file>', about: 'a spec to compare with the one in force', completes: 'file' },
    { flags: '--exit-code', about: 'end with 3 when there is something to do' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    const empty = options.file === undefined ? await showPlan(cli) : await showDiff(cli, options.file)
    return options.exitCode === true && !empty ? exitCodes.notEmpty : exitCodes.ok
  },
})

/** Prints the plan of now; true when it has no steps. */
async function showPlan(cli: Cli): Promise<boolean> {
  const api = await openApi(cli)
  const view = await api.get<PlanView>('/plan')
  const text = () => {
    const steps = view.steps.map((step) => `  ${paint('→', 'busy', cli.settings.color)} ${cleanText(stepText(step))}\n`).join('')
    const waiting = view.waiting.map((one) => cleanLines(waitingLines(one))).join('')
    return `${view.steps.length === 0 ? 'nothing to do\n' : `${view.steps.length} step${view.steps.length === 1 ? '' : 's'}\n${steps}`}${waiting === '' ? '' : `waiting\n${waiting}`}`
  }
  await printThing(cli, { value: view, name: String(view.steps.length), text })
  return view.steps.length === 0
}

/** `assign jobId=job_… hostId=host_… (why)`. */
function stepText(step: PlanView['steps'][number]): string {
  const { kind, why, ...rest } = step
  const facts = Object.entries(rest)
    .filter(([name, value]) => typeof value === 'string' && !/generation$/i.test(name))
    .map(([name, value]) => `${name}=${String(value)}`)
  return [kind, ...facts, ...(typeof why === 'string' ? [`(${why})`] : [])].join(' ')
}

/** Prints what a file would change; true when that is nothing. */
async function showDiff(cli: Cli, file: string): Promise<boolean> {
  const api = await openApi(cli)
  const { diff } = await checkSpec(api, { source: await readSpecFile(cli, file), file })
  await printThing(cli, { value: diff, name: String(diff.changes.length), text: () => renderSpecDiff(diff, cli.settings.color) })
  return diff.changes.length === 0
}

/** Reads a spec; `-` is standard input. */
export async function readSpecFile(cli: Cli, file: string): Promise<string> {
  if (file === '-') return Buffer.from(await cli.stdin.readAll(1_048_576)).toString('utf8')
  try {
    return await readFile(resolve(cli.cwd, file), 'utf8')
  } catch (cause) {
    throw new UsageError(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}
