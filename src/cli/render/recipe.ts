import type { NamedImage, RecipeReport } from '../../main/cli-image.ts'
import { baseName } from '../../model/image/lock.ts'
import { stepTimeout } from '../../model/image/recipe.ts'
import type { Recipe } from '../../model/image/recipe.ts'
import type { Step } from '../../model/image/step.ts'
import { formatDuration } from '../../model/instant.ts'
import { renderFields } from './output.ts'
import { renderTable } from './table.ts'
import type { Cell, TableOptions } from './table.ts'

/** What `--output json` prints of a recipe. */
export function recipeView({ recipe, lock, lacks, identity }: RecipeReport, named: NamedImage | null): object {
  return {
    name: recipe.name,
    version: recipe.version,
    engine: recipe.engine,
    guest: recipe.guest,
    base: recipe.base,
    machine: recipe.machine,
    tries: recipe.tries,
    layers: recipe.layers.map(({ name, steps }, index) => ({
      name,
      identity: identity?.layers[index]?.identity ?? null,
      steps: steps.map((step) => ({ name: step.name, kind: step.kind, timeoutMs: stepTimeout(recipe, step), retries: step.retries })),
    })),
    tools: recipe.tools.map(({ name, version, check }) => ({ name, version, check })),
    lock: { there: lock !== null, lacks },
    identity: identity?.identity ?? null,
    image: named,
  }
}

interface Row {
  readonly layer: string
  readonly step: Step
}

export function recipeText({ recipe, lock, lacks, identity }: RecipeReport, named: NamedImage | null, options: TableOptions): string {
  const { color } = options
  const head = renderFields(
    [
      ['recipe', `${recipe.name} ${recipe.version}`],
      ['engine', recipe.engine],
      ['guest', `${recipe.guest.os} ${recipe.guest.release}`],
      ['base', baseName(recipe) ?? `the image of ${recipe.base.kind === 'image' ? recipe.base.image : ''}`],
      ['machine', machineText(recipe)],
      ['lock', lockCell(lock !== null, lacks)],
      ['identity', identity?.identity ?? ''],
      ['name', named?.name ?? ''],
      ['registry', named?.registry ?? ''],
    ],
    color,
  )
  const rows = recipe.layers.flatMap(({ name, steps }) => steps.map((step): Row => ({ layer: name, step })))
  const steps = renderTable(
    rows,
    [
      { head: 'LAYER', cell: ({ layer }) => layer },
      { head: 'STEP', cell: ({ step }) => step.name, shrink: true },
      { head: 'KIND', cell: ({ step }) => step.kind },
      { head: 'TIME LIMIT', cell: ({ step }) => formatDuration(stepTimeout(recipe, step)), align: 'right' },
      { head: 'RETRIES', cell: ({ step }) => String(step.retries), align: 'right' },
    ],
    options,
  )
  if (recipe.tools.length === 0) return `${head}\n${steps}`
  const tools = renderTable(
    recipe.tools,
    [
      { head: 'TOOL', cell: ({ name }) => name },
      { head: 'VERSION', cell: ({ version }) => version },
      { head: 'CHECK', cell: ({ check }) => check, shrink: true },
    ],
    options,
  )
  return `${head}\n${steps}\n${tools}`
}

function lockCell(isThere: boolean, lacks: readonly string[]): string | Cell {
  if (!isThere) return { text: 'there is none; cidery image lock', tone: 'warn' }
  return lacks.length === 0 ? 'full' : { text: `lacks ${lacks.length}: ${lacks[0] ?? ''}`, tone: 'warn' }
}

function machineText({ machine }: Recipe): string {
  const gib = (bytes: number) => `${Number((bytes / 1024 ** 3).toFixed(1))} GiB`
  return `${machine.cpu} CPUs, ${gib(machine.memory)} of memory, ${gib(machine.disk)} of disk`
}
