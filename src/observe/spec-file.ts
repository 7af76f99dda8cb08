import { LineCounter, isMap, isPair, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document, Node, YAMLError } from 'yaml'
import { CideryError } from '../model/errors.ts'
import type { InputProblem } from '../model/errors.ts'
import { didYouMean, inputProblems } from '../model/input-problems.ts'
import { Spec } from '../model/spec.ts'

/** Bounds of what one source may be made of: YAML can name a thing again and again. */
const maxProblems = 50
const maxAliases = 100

/**
 * Reads a `cidery.yaml`. Throws INVALID_INPUT with one problem per mistake: file, line, column, the field and what would be accepted.
 *
 * @example readSpecFile('version: 1\nqueus: {}\n', 'cidery.yaml') // cidery.yaml:2:1: queus: unknown field "queus"; did you mean "queues"?
 */
export function readSpecFile(source: string, file: string): Spec {
  const lines = new LineCounter()
  const document = parseDocument(source, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    version: '1.2',
    merge: false,
    prettyErrors: false,
  })
  const broken = [...document.errors, ...document.warnings]
  if (broken.length > 0) throw notAccepted(broken.map((error) => yamlProblem(error, lines, file)))

  const result = Spec.safeParse(valueOf(document, file) ?? {}, { reportInput: true })
  const problems = result.success ? referenceProblems(result.data) : inputProblems(result.error, Spec)
  if (problems.length > 0) throw notAccepted(problems.map((problem) => located(problem, { document, lines, file })))
  if (!result.success) throw notAccepted([])
  return result.data
}

function valueOf(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: maxAliases })
  } catch (error) {
    // The reader's own guard against a few lines that unfold into gigabytes.
    throw new CideryError('INVALID_INPUT', `${file}: cannot be read: ${error instanceof Error ? error.message : 'unknown reason'}`, {
      cause: error,
    })
  }
}

function notAccepted(problems: readonly InputProblem[]): CideryError {
  const ordered = [...problems].sort((one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0))
  const shown = ordered.slice(0, maxProblems)
  const text = shown.map(problemText).join('\n')
  const more = ordered.length > maxProblems ? `\n… and ${ordered.length - maxProblems} more` : ''
  return new CideryError('INVALID_INPUT', `the spec is not accepted:\n${text}${more}`, {
    problems: shown,
    hint: 'correct the lines named, then cidery plan',
  })
}

/** `cidery.yaml:12:5: pools.default.hots: unknown field "hots"; did you mean "hosts"? (accepted: …)`. */
function problemText(problem: InputProblem): string {
  const at = [problem.file ?? '', problem.line ?? 0, problem.column ?? 0].join(':')
  const accepted =
    problem.accepted === undefined || problem.accepted.length === 0 || problem.message.startsWith('accepted:')
      ? ''
      : ` (accepted: ${problem.accepted.join(', ')})`
  return `${at}: ${problem.path === '' ? '' : `${problem.path}: `}${problem.message}${accepted}`
}

function yamlProblem(error: YAMLError, lines: LineCounter, file: string): InputProblem {
  const { line, col } = lines.linePos(error.pos[0])
  return { path: '', message: error.message, file, line, column: col }
}

interface Source {
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly file: string
}

/** Finds the place of a problem: that of the field's name where there is one, else of the nearest thing around it. */
function located(problem: InputProblem, source: Source): InputProblem {
  const { line, col } = source.lines.linePos(offsetOf(source.document.contents, wordsOf(problem.path)))
  return { ...problem, file: source.file, line, column: col }
}

/** `queues.default.pools[0]` → its parts. Names may hold dots themselves, so the longest key that fits is taken at each level. */
function wordsOf(path: string): string {
  return path.replaceAll(/\[(\d+)\]/g, '.$1')
}

function offsetOf(root: Node | null, path: string): number {
  let at: unknown = root
  let rest = path
  let offset = root?.range?.[0] ?? 0
  while (rest !== '') {
    const step = next(at, rest)
    if (step === undefined) return offset
    offset = step.offset
    at = step.value
    rest = step.rest
  }
  return offset
}

interface Step {
  readonly offset: number
  readonly value: unknown
  readonly rest: string
}

function next(at: unknown, path: string): Step | undefined {
  if (isSeq(at)) {
    const [index = '', ...others] = path.split('.')
    const item = at.items[Number.parseInt(index, 10)] as Node | undefined
    return item?.range ? { offset: item.range[0], value: item, rest: others.join('.') } : undefined
  }
  if (!isMap(at)) return undefined
  const fitting = at.items
    .filter(
      (pair) => isPair(pair) && isScalar(pair.key) && (path === String(pair.key.value) || path.startsWith(`${String(pair.key.value)}.`)),
    )
    .map((pair) => ({ key: pair.key as Node & { value: unknown }, value: pair.value }))
    .sort((one, other) => String(other.key.value).length - String(one.key.value).length)
  const [found] = fitting
  if (!found?.key.range) return undefined
  const name = String(found.key.value)
  const rest = path.slice(name.length + 1)
  return { offset: found.key.range[0], value: found.value, rest }
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
  return [...problems, ...warmProblems(spec)]
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
