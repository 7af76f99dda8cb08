import { CideryError } from '../../../model/errors.ts'
import type { Recipe } from '../../../model/image/recipe.ts'
import type { FoundTool } from '../../../model/image/stored.ts'
import { judgeTools, missingTools, type ToolOutput } from '../../../model/image/tool-check.ts'
import type { ImageCheck } from '../../../model/image/validation.ts'
import { second } from '../../../model/instant.ts'
import { messageOf } from '../outcome.ts'
import { runScript, type Guest } from './command.ts'
import { healthScript, releaseScripts } from './guest-scripts.ts'

/** The guest's system has to be of the release that the recipe promises to jobs. INVALID_INPUT when it is another one; one that does not tell is believed. */
export async function checkRelease(guest: Guest, { name, guest: { os, release } }: Recipe): Promise<void> {
  const { exitCode, output } = await ask(guest, { name: 'release', run: releaseScripts[os], limitMs: 30 * second })
  const found = output.trim()
  if (exitCode !== 0 || !/^\d+(?:\.\d+)*$/.test(found)) {
    guest.build.log.line('the guest does not tell the release of its system')
    return
  }
  if (found.split('.')[0] === release) return
  throw new CideryError('INVALID_INPUT', `the guest has ${os} ${found}, and the image ${name} is said to have ${release}`, {
    hint: 'write the release of the base into the recipe (guest.release), or another base',
  })
}

/** Asks every tool of a recipe for its version. CONFLICT with all that are not as demanded: one miss fails the image. */
export async function checkTools(guest: Guest, recipe: Recipe): Promise<readonly FoundTool[]> {
  const outputs = new Map<string, ToolOutput>()
  for (const tool of recipe.tools) outputs.set(tool.name, await ask(guest, { name: tool.name, run: tool.check, limitMs: tool.timeout }))
  const findings = judgeTools(recipe.tools, outputs)
  const problem = missingTools(recipe.name, findings)
  if (problem !== null) throw problem
  return findings.map(({ tool, demanded, found }) => ({ name: tool, version: found ?? '', demand: demanded }))
}

interface Asked {
  readonly name: string
  readonly run: string
  readonly limitMs: number
  readonly asRoot?: boolean
}

async function ask(guest: Guest, { name, run, limitMs, asRoot = false }: Asked): Promise<ToolOutput> {
  try {
    return await runScript(guest, { script: run, asRoot, limitMs, what: `the check ${name}` })
  } catch (error) {
    guest.build.signal.throwIfAborted()
    if (error instanceof CideryError && error.code === 'UNAVAILABLE') return { exitCode: null, output: messageOf(error) }
    throw error
  }
}

/** What one check said; null: it passed. */
export async function checkProblem(guest: Guest, check: ImageCheck): Promise<string | null> {
  const { exitCode, output } = await ask(guest, {
    name: check.name,
    run: check.run,
    limitMs: check.timeout,
    asRoot: check.as === 'root',
  })
  if (exitCode !== check.exitCode) {
    const how = exitCode === null ? 'did not end in time' : `ended with ${exitCode} instead of ${check.exitCode}`
    return `the check ${check.name} ${how}: ${output.trim().slice(-300)}`
  }
  if (check.contains === undefined || output.includes(check.contains)) return null
  return `the check ${check.name} does not print ${JSON.stringify(check.contains)}: ${output.trim().slice(-300)}`
}

const healthPause = 2 * second

async function healthProblem(guest: Guest, health: NonNullable<Recipe['validation']['health']>): Promise<string | null> {
  const { clock, timers } = guest.build.ports
  const until = clock.steady() + health.timeout
  for (;;) {
    const words = [String(health.port), health.path]
    const { exitCode, output } = await runScript(guest, {
      script: healthScript,
      words,
      asRoot: false,
      limitMs: 30 * second,
      what: 'the health check',
    })
    if (exitCode === 0 && Number(output.trim()) === health.status) return null
    if (clock.steady() >= until) {
      return `the service on port ${health.port} does not answer ${health.path} with ${health.status}: ${output.trim().slice(-200)}`
    }
    await timers.sleep(healthPause, guest.build.signal)
  }
}

/** Looks at the release, and runs tools, checks and health of a recipe in a guest; what is wrong with the checks is told all at once. Gives the tools. */
export async function validate(guest: Guest, recipe: Recipe, done: (name: string) => void): Promise<readonly FoundTool[]> {
  await checkRelease(guest, recipe)
  const tools = await checkTools(guest, recipe)
  done('tools')
  const problems: string[] = []
  for (const check of recipe.validation.checks) {
    const problem = await checkProblem(guest, check)
    if (problem !== null) problems.push(problem)
    done(check.name)
  }
  const { health } = recipe.validation
  if (health !== undefined) {
    const problem = await healthProblem(guest, health)
    if (problem !== null) problems.push(problem)
    done('health')
  }
  if (problems.length === 0) return tools
  throw new CideryError('CONFLICT', `the image ${recipe.name} is not as its recipe demands:\n${problems.join('\n')}`, {
    details: { problems },
  })
}

/** How many times `validate` says that something is done. */
export function validationSteps({ validation }: Recipe): number {
  return 1 + validation.checks.length + (validation.health === undefined ? 0 : 1)
}
