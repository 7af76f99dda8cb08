import type { InputProblem } from '../model/errors.ts'
import { didYouMean } from '../model/input-problems.ts'
import { Spec } from '../model/spec.ts'
import { readYaml, type YamlForm } from './typed-yaml.ts'

const specForm: YamlForm<Spec> = {
  schema: Spec,
  what: 'the spec',
  hint: 'correct the lines named, then cidery plan',
  after: referenceProblems,
}

/**
 * Reads a `cidery.yaml`. Throws INVALID_INPUT with one problem per mistake: file, line, column, the field and what would be accepted.
 *
 * @example readSpecFile('version: 1\nqueus: {}\n', 'cidery.yaml') // cidery.yaml:2:1: queus: unknown field "queus"; did you mean "queues"?
 */
export function readSpecFile(source: string, file: string): Spec {
  return readYaml(specForm, source, file)
}

/** Names that point at things which are not there. */
function referenceProblems(spec: Spec): readonly InputProblem[] {
  const pools = Object.keys(spec.pools)
  const images = Object.keys(spec.images)
  const problems: InputProblem[] = []
  for (const [name, queue] of Object.entries(spec.queues)) {
    queue.pools.forEach((pool, index) => {
      if (!pools.includes(pool))
        problems.push({
          path: `queues.${name}.pools[${index}]`,
          message: `there is no pool "${pool}"${didYouMean(pool, pools)}`,
          accepted: pools,
        })
    })
    const { image } = queue
    if (image !== undefined && !images.includes(image)) {
      problems.push({ path: `queues.${name}.image`, message: `there is no image "${image}"${didYouMean(image, images)}`, accepted: images })
    }
  }
  return [...problems, ...preferProblems(spec), ...zoneProblems(spec), ...warmProblems(spec)]
}

/** Images that a pool names and that are not there, or there twice. */
function preferProblems(spec: Spec): readonly InputProblem[] {
  return Object.entries(spec.pools).flatMap(([pool, { prefer = [], images = [] }]) => [
    ...namedProblems(spec, `pools.${pool}.prefer`, prefer),
    ...namedProblems(spec, `pools.${pool}.images`, images),
  ])
}

function namedProblems(spec: Spec, list: string, names: readonly string[]): readonly InputProblem[] {
  const images = Object.keys(spec.images)
  return names.flatMap((image, index) => {
    const path = `${list}[${index}]`
    if (!images.includes(image)) return [{ path, message: `there is no image "${image}"${didYouMean(image, images)}`, accepted: images }]
    return names.indexOf(image) === index ? [] : [{ path, message: `"${image}" is there twice` }]
  })
}

/** Time zones that this Node does not know. */
function zoneProblems(spec: Spec): readonly InputProblem[] {
  return Object.entries(spec.images).flatMap(([image, { schedule }]) =>
    schedule === undefined || isZone(schedule.timezone)
      ? []
      : [{ path: `images.${image}.schedule.timezone`, message: `there is no time zone "${schedule.timezone}"` }],
  )
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    // RangeError is how Intl says that there is none.
    return false
  }
}

/** Engines that can keep sandboxes started. */
const warmEngines: readonly string[] = ['qemu']

/** Queues whose jobs could never get what a pool keeps started for them. */
function warmProblems(spec: Spec): readonly InputProblem[] {
  const problems: InputProblem[] = []
  for (const [pool, { engines }] of Object.entries(spec.pools)) {
    for (const [engine, { warm }] of Object.entries(engines)) {
      const accepted = Object.keys(spec.queues).filter((name) => getsWarm(spec, { queue: name, engine, pool }))
      for (const name of Object.keys(warm ?? {})) {
        const path = `pools.${pool}.engines.${engine}.warm.${name}`
        if (!warmEngines.includes(engine)) {
          problems.push({ path, message: `engine ${engine} keeps no sandboxes started; ${warmEngines.join(', ')} does` })
        } else if (!accepted.includes(name)) {
          const why = Object.hasOwn(spec.queues, name) ? `jobs of queue "${name}" get none of them` : `there is no queue "${name}"`
          problems.push({ path, message: `${why}${didYouMean(name, accepted)}`, accepted })
        }
      }
    }
  }
  return problems
}

function getsWarm(spec: Spec, wanted: { readonly queue: string; readonly engine: string; readonly pool: string }): boolean {
  const { pools = [], engine, image = '' } = spec.queues[wanted.queue] ?? {}
  if (engine !== wanted.engine || spec.images[image]?.engine !== engine) return false
  return pools.length === 0 || pools.includes(wanted.pool)
}
