import { z } from 'zod'
import type { InputProblem } from '../errors.ts'
import { Name } from '../id.ts'
import type { Milliseconds } from '../instant.ts'
import { duration, size } from '../quantity.ts'
import { Labels } from '../shape.ts'
import { Base } from './base.ts'
import { Cleanup, debianReleases, Guest, GuestSettings } from './guest.ts'
import { packageManagers, packageOf, Step } from './step.ts'
import type { PackageManager, StepKind, StepOf } from './step.ts'
import { Tool } from './tool.ts'
import { Flakiness, Validation } from './validation.ts'

export const imageEngines = ['tart', 'qemu'] as const
export type ImageEngine = (typeof imageEngines)[number]

/** `3.6`, `3.60`, `2026.1`: text, never a number, for 3.6 and 3.60 are two versions. */
export const RecipeVersion = z
  .string({ error: 'a version in quotes, such as "3.6": without them 3.60 would be read as 3.6' })
  .regex(/^[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*$/, 'numbers or letters with dots between, such as 3.6')
  .max(40)

/** Name of the layer of a recipe that has steps and no layers. */
export const onlyLayer = 'image'

/** Steps whose result is kept, so that a build that changes only what is above starts from here. */
const Layer = z.strictObject({
  name: Name.refine((name) => name !== onlyLayer, `"${onlyLayer}" is the layer of a recipe without layers; choose another name`),
  steps: z.array(Step).min(1).max(200),
})
export type Layer = z.infer<typeof Layer>

/**
 * Time limits of a build. 2 minutes to boot, 20 to connect, and steps of 10/30/60/30/10 minutes (system ready, developer tools, bootstrap, further tools, agent) are what
 * `macos-runners/packer` of oven-sh/bun has; 720 minutes for all is the limit of its build pipeline.
 */
const RecipeTimeouts = z.strictObject({
  build: duration('720m'),
  boot: duration('2m'),
  connect: duration('20m'),
  shutdown: duration('5m'),
  steps: z
    .strictObject({
      reboot: duration('10m'),
      packages: duration('30m'),
      shell: duration('60m'),
      download: duration('30m'),
      copy: duration('10m'),
    })
    .prefault({}),
})

const RecipeFields = z.strictObject({
  /** The line of images that this makes: `macos-15`. */
  name: Name,
  version: RecipeVersion,
  engine: z.enum(imageEngines),
  base: Base,
  guest: Guest,
  /** What the guest has while it is built; its disk is that of the image. */
  machine: z.strictObject({ cpu: z.int().positive().max(256).default(4), memory: size('8GiB'), disk: size('100GiB') }).prefault({}),
  layers: z.array(Layer).min(1).max(20).optional(),
  /** A recipe of one layer. */
  steps: z.array(Step).min(1).max(200).optional(),
  tools: z.array(Tool).max(200).default([]),
  settings: GuestSettings.prefault({}),
  cleanup: Cleanup.prefault({}),
  validation: Validation.prefault({}),
  flakiness: Flakiness.prefault({}),
  /** Kept with the image, in its registry too. */
  labels: Labels.default({}),
  timeouts: RecipeTimeouts.prefault({}),
  /** Whole builds, each from a fresh clone of the base. */
  tries: z.int().min(1).max(10).default(2),
})

/** What goes into an image: one file per line of images. Unknown fields are errors. */
export const Recipe = RecipeFields.transform(({ steps, layers, ...rest }, context) => {
  if ((steps === undefined) === (layers === undefined)) {
    const message =
      steps === undefined
        ? 'a recipe has steps, or layers that have steps'
        : 'steps are those of the only layer; with layers they belong into one of them'
    context.addIssue({ code: 'custom', path: steps === undefined ? [] : ['steps'], message })
    return z.NEVER
  }
  return { ...rest, layers: layers ?? [{ name: onlyLayer, steps: steps ?? [] }] }
})
export type Recipe = z.infer<typeof Recipe>
/** A recipe as people write it. */
export type RecipeInput = z.input<typeof Recipe>

/** How long one try of a step may take, in milliseconds. */
export function stepTimeout(recipe: Pick<Recipe, 'timeouts'>, step: Pick<Step, 'kind' | 'timeout'>): Milliseconds {
  return step.timeout ?? recipe.timeouts.steps[step.kind]
}

/** All steps of a kind, lowest layer first. */
export function stepsOf<K extends StepKind>(recipe: Pick<Recipe, 'layers'>, kind: K): readonly StepOf<K>[] {
  return recipe.layers.flatMap(({ steps }) => steps.filter((step): step is StepOf<K> => step.kind === kind))
}

/** Files and folders beside the recipe whose bytes go into the image. */
export function recipeFiles(recipe: Pick<Recipe, 'layers'>): readonly string[] {
  const copied = stepsOf(recipe, 'copy').map(({ from }) => from)
  const run = stepsOf(recipe, 'shell').flatMap(({ source }) => ('file' in source ? [source.file] : []))
  return [...new Set([...copied, ...run])].sort()
}

/** Packages by manager and name, each once; a version where the recipe names one. */
export function recipePackages(
  recipe: Pick<Recipe, 'layers'>,
): readonly { readonly manager: PackageManager; readonly name: string; readonly version: string | null }[] {
  const found = new Map<string, { manager: PackageManager; name: string; version: string | null }>()
  for (const { manager, list } of stepsOf(recipe, 'packages')) {
    for (const text of list) {
      const { name, version } = packageOf(manager, text)
      found.set(`${manager}/${name}`, { manager, name, version })
    }
  }
  return [...found].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => entry)
}

/** Mistakes that no single field shows: parts of a recipe that do not go together, and names that are there twice. */
export function recipeProblems(recipe: Recipe): readonly InputProblem[] {
  return [...foundationProblems(recipe), ...managerProblems(recipe), ...doubleNames(recipe)]
}

const enginesOfBases: Readonly<Record<Base['kind'], readonly ImageEngine[]>> = {
  oci: imageEngines,
  ipsw: ['tart'],
  debian: ['qemu'],
  image: imageEngines,
}

function foundationProblems({ name, engine, base, guest }: Recipe): readonly InputProblem[] {
  const problems: InputProblem[] = []
  const fitting = enginesOfBases[base.kind]
  if (!fitting.includes(engine)) {
    problems.push({
      path: `base.${base.kind}`,
      message: `a build from ${base.kind} needs the engine ${fitting.join(' or ')}; it is ${engine}`,
      accepted: fitting,
    })
  }
  if (guest.os === 'macos' && engine !== 'tart') {
    problems.push({ path: 'engine', message: `macOS runs on the engine tart alone; it is ${engine}`, accepted: ['tart'] })
  }
  if (base.kind === 'debian' && (guest.os !== 'debian' || debianReleases[guest.release] !== base.suite)) {
    const has = guest.os === 'debian' ? debianReleases[guest.release] : guest.os
    problems.push({ path: 'base.debian', message: `the base is ${base.suite}, and the guest is said to be ${has}` })
  }
  if (base.kind === 'ipsw' && guest.os !== 'macos')
    problems.push({ path: 'base.ipsw', message: `a restore image holds macOS, and the guest is said to be ${guest.os}` })
  if (base.kind === 'image' && base.image === name) problems.push({ path: 'base.image', message: `${name} cannot be its own base` })
  return problems
}

const managersOf: Readonly<Record<Guest['os'], readonly PackageManager[]>> = {
  macos: packageManagers.filter((manager) => manager !== 'apt'),
  debian: packageManagers.filter((manager) => manager !== 'brew' && manager !== 'cask'),
}

/** Where the steps of a layer are in the file. */
function stepsPath(layers: readonly Layer[], index: number): string {
  return layers[index]?.name === onlyLayer ? 'steps' : `layers[${index}].steps`
}

function managerProblems({ guest, layers }: Recipe): readonly InputProblem[] {
  const accepted = managersOf[guest.os]
  return layers.flatMap(({ steps }, layer) =>
    steps.flatMap((step, index) =>
      step.kind !== 'packages' || accepted.includes(step.manager)
        ? []
        : [{ path: `${stepsPath(layers, layer)}[${index}].packages.manager`, message: `${guest.os} has no ${step.manager}`, accepted }],
    ),
  )
}

/** A list whose entries are told apart by a name. */
function twice(entries: readonly { readonly name: string }[], path: string): readonly InputProblem[] {
  return entries.flatMap(({ name }, index) => {
    const first = entries.findIndex((entry) => entry.name === name)
    return first === index ? [] : [{ path: `${path}[${index}].name`, message: `"${name}" is the name of ${path}[${first}] as well` }]
  })
}

function doubleNames({ layers, tools, validation, flakiness }: Recipe): readonly InputProblem[] {
  return [
    ...twice(layers, 'layers'),
    ...layers.flatMap(({ steps }, index) => twice(steps, stepsPath(layers, index))),
    ...twice(tools, 'tools'),
    ...twice(validation.checks, 'validation.checks'),
    ...twice(flakiness.checks ?? [], 'flakiness.checks'),
  ]
}
