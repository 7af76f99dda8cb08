import { LineCounter, isMap, isPair, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document, Node, YAMLError } from 'yaml'
import type { z } from 'zod'
import { CideryError } from '../model/errors.ts'
import type { InputProblem } from '../model/errors.ts'
import { inputProblems } from '../model/input-problems.ts'

/** What a source is read as. */
export interface YamlForm<T> {
  readonly schema: z.ZodType<T>
  /** What errors call it: `the spec`. */
  readonly what: string
  /** What to do about an error. */
  readonly hint: string
  /** Mistakes that the schema would name badly, looked for first. */
  before?(raw: unknown): readonly InputProblem[]
  /** Mistakes that a schema cannot see: names of things that are not there. */
  after(value: T): readonly InputProblem[]
}

/** Bounds of what one source may be made of: YAML can name a thing again and again. */
const maxProblems = 50
const maxAliases = 100

/** Reads one source of a form. Throws INVALID_INPUT with one problem per mistake: file, line, column, the field and what would be accepted. */
export function readYaml<T>(form: YamlForm<T>, source: string, file: string): T {
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
  if (broken.length > 0)
    throw notAccepted(
      form,
      broken.map((error) => yamlProblem(error, lines, file)),
    )

  const raw = valueOf(document, file) ?? {}
  const first = form.before?.(raw) ?? []
  const result = form.schema.safeParse(raw, { reportInput: true })
  const later = result.success ? form.after(result.data) : inputProblems(result.error, form.schema)
  const problems = first.length > 0 ? first : later
  if (problems.length > 0)
    throw notAccepted(
      form,
      problems.map((problem) => located(problem, { document, lines, file })),
    )
  if (!result.success) throw notAccepted(form, [])
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

function notAccepted({ what, hint }: Pick<YamlForm<unknown>, 'what' | 'hint'>, problems: readonly InputProblem[]): CideryError {
  const ordered = [...problems].sort((one, other) => (one.line ?? 0) - (other.line ?? 0) || (one.column ?? 0) - (other.column ?? 0))
  const shown = ordered.slice(0, maxProblems)
  const text = shown.map(problemText).join('\n')
  const more = ordered.length > maxProblems ? `\n… and ${ordered.length - maxProblems} more` : ''
  return new CideryError('INVALID_INPUT', `${what} is not accepted:\n${text}${more}`, {
    problems: shown,
    hint,
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
