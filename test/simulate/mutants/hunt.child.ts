// Runs seeds over the code as it is with some edits in it, until a property breaks. Asked and answered in JSON: `node hunt.child.ts '{…}'`.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { edited, type HuntAnswer, type HuntRequest } from './mutant.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const request = JSON.parse(process.argv[2] ?? '') as HuntRequest

function sourceOf(path: string): string | null {
  const edits = request.edits.filter(({ file }) => join(root, file) === path)
  return edits.length === 0 ? null : edits.reduce(edited, readFileSync(path, 'utf8'))
}

registerHooks({
  load(url, context, next) {
    const source = url.startsWith('file:') ? sourceOf(fileURLToPath(url)) : null
    return source === null ? next(url, context) : { format: 'module-typescript', source, shortCircuit: true }
  },
})

// Loaded only now, so that the edits are in it.
const { simulationDrivers } = await import('../../../src/main/simulate.ts')
const { simulate } = await import('../../../src/simulate/simulate.ts')
const { safetyProperties } = await import('../../../src/simulate/properties/registry.ts')
const { scenarioOf } = await import('./fleet-of-hunt.ts')
const properties = safetyProperties.filter(({ name }) => request.only === null || name === request.only)

async function hunt(): Promise<HuntAnswer> {
  let virtualMs = 0
  let seedsRun = 0
  const cpuMs = (): number => Math.round((process.cpuUsage().user + process.cpuUsage().system) / 1000)
  for (const seed of request.seeds) {
    const scenario = scenarioOf(request.hunt, seed)
    const { violation, restMs } = await simulate(scenario, { drivers: simulationDrivers(), properties, keepLines: 1 })
    seedsRun += 1
    virtualMs += violation?.at ?? scenario.durationMs + (restMs ?? 0)
    if (violation !== null) return { seed, ...violation, seedsRun, virtualMs, cpuMs: cpuMs() }
  }
  return { seed: null, property: '', problem: '', at: 0, seedsRun, virtualMs, cpuMs: cpuMs() }
}

process.stdout.write(`${JSON.stringify(await hunt())}\n`)
