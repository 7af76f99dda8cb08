import { z } from 'zod'
import { CideryError } from '../errors.ts'
import type { Instant } from '../instant.ts'

/** What a name of an image can tell. */
export const nameFields = ['release', 'version', 'recipe', 'date', 'time', 'build', 'arch'] as const
export type NameField = (typeof nameFields)[number]
/**
 * - `release`: of the guest's system (`15`); `version`: of the project (`1.2.17`); `recipe`: version of the recipe (`3.6`)
 * - `date` (`2026-11-30`) and `time` (`020000`): when the build began, in UTC; `build`: lower-case letters and digits, of that build alone
 * - `arch`: `arm64`, `x64`
 */
export type NameValues = Readonly<Partial<Record<NameField, string>>>

/** Name of a machine's image in the predecessors, and here where nothing else is said. */
export const defaultNameTemplate = 'bun-build-macos-{release}-{version}-bootstrap-{recipe}'
/** A name that each build has for itself, and that sorts by time. */
export const datedNameTemplate = 'bun-macos-{release}-{date}-{time}-{build}'

interface FieldForm {
  /** In a name. */
  readonly written: string
  /** Signs that it may hold in a name; empty: its length is fixed, so that nothing behind it can belong to it. */
  readonly signs: RegExp | null
  readonly means: string
}

const forms: Readonly<Record<NameField, FieldForm>> = {
  release: { written: '[0-9a-z]+', signs: /[0-9a-z]/, means: 'lower-case letters and digits, such as 15' },
  // A dash of the value is written as _, for it is what stands between fields.
  version: {
    written: '[0-9A-Za-z._]+',
    signs: /[0-9A-Za-z._]/,
    means: 'letters, digits, dots and single dashes, such as 1.2.17 or 1.2.17-canary.3',
  },
  recipe: { written: '[0-9A-Za-z._]+', signs: /[0-9A-Za-z._]/, means: 'letters, digits, dots and single dashes, such as 3.6' },
  date: { written: String.raw`\d{4}-\d{2}-\d{2}`, signs: null, means: 'a day such as 2026-11-30' },
  time: { written: String.raw`\d{6}`, signs: null, means: 'a time of day such as 020000' },
  build: { written: '[0-9a-z]+', signs: /[0-9a-z]/, means: 'lower-case letters and digits' },
  arch: { written: '[0-9a-z]+', signs: /[0-9a-z]/, means: 'lower-case letters and digits, such as arm64' },
}

type Part = { readonly literal: string } | { readonly field: NameField }

/** A template that was read: every name that it makes is read back as the same fields. */
export interface ImageName {
  readonly template: string
  readonly fields: readonly NameField[]
  readonly parts: readonly Part[]
}

const isField = (word: string): word is NameField => (nameFields as readonly string[]).includes(word)

/**
 * Reads a template of names. INVALID_INPUT for one whose names could not be read back.
 *
 * @example formatImageName(readNameTemplate('macos-{release}-{version}'), { release: '15', version: '1.2.17' }) // 'macos-15-1.2.17'
 */
export function readNameTemplate(template: string): ImageName {
  const problem = templateProblem(template)
  if (problem !== null)
    throw new CideryError('INVALID_INPUT', `${JSON.stringify(template.slice(0, 200))} is no template of image names: ${problem}`, {
      hint: `such as ${defaultNameTemplate}; fields: ${nameFields.join(', ')}`,
    })
  const parts = partsOf(template)
  return { template, parts, fields: parts.flatMap((part) => ('field' in part ? [part.field] : [])) }
}

/** A template in a file. */
export const NameTemplate = z.string().transform((text, context) => {
  const problem = templateProblem(text)
  if (problem === null) return text
  context.addIssue({ code: 'custom', message: `a template such as ${defaultNameTemplate}: ${problem}` })
  return z.NEVER
})

function partsOf(template: string): readonly Part[] {
  return template
    .split(/(\{[^{}]*\})/)
    .filter((piece) => piece !== '')
    .map((piece) => {
      const word = piece.slice(1, -1)
      return piece.startsWith('{') && isField(word) ? { field: word } : { literal: piece }
    })
}

/** What is wrong with a template; null: nothing. */
export function templateProblem(template: string): string | null {
  const parts = partsOf(template)
  const fields = parts.flatMap((part) => ('field' in part ? [part.field] : []))
  const ofPart = parts.map((part, index) => partProblem(part, parts[index + 1], index)).find((problem) => problem !== null)
  if (ofPart !== undefined) return ofPart
  if (fields.length === 0) return 'it has no field, so that all images would have one name'
  const double = fields.find((field, index) => fields.indexOf(field) !== index)
  return double === undefined ? null : `{${double}} is there twice`
}

function partProblem(part: Part, next: Part | undefined, index: number): string | null {
  if ('literal' in part) {
    const unknown = /\{([^{}]*)\}/.exec(part.literal)?.[1]
    if (unknown !== undefined) return `there is no field {${unknown}}; fields: ${nameFields.join(', ')}`
    if (!/^[0-9A-Za-z._-]+$/.test(part.literal))
      return `${JSON.stringify(part.literal)} cannot be in the name of an image: letters, digits, dots, dashes and underscores`
    return index === 0 && !/^[0-9A-Za-z]/.test(part.literal) ? 'it starts with neither a letter nor a digit' : null
  }
  if (next === undefined) return null
  if ('field' in next) return `{${part.field}} and {${next.field}} have nothing between them, so that nobody knows where one ends`
  const { signs } = forms[part.field]
  const first = next.literal.charAt(0)
  return signs?.test(first) === true ? `"${first}" behind {${part.field}} could belong to it; put a dash there` : null
}

/** The sign of a dash within a value. */
const dash = '_'

/** The name of the values. INVALID_INPUT when one is not there, or could not be read back. Values that the template has no field for are left out. */
export function formatImageName({ template, parts }: ImageName, values: NameValues): string {
  return parts.map((part) => ('literal' in part ? part.literal : written(part.field, values[part.field], template))).join('')
}

function written(field: NameField, value: string | undefined, template: string): string {
  const hint = `the template is ${template}`
  if (value === undefined) throw new CideryError('INVALID_INPUT', `the name of an image needs its ${field}`, { hint })
  const text = hasDash(field) ? value.replaceAll('-', dash) : value
  const same = value === (hasDash(field) ? text.replaceAll(dash, '-') : text)
  if (same && new RegExp(`^${forms[field].written}$`).test(text)) return text
  throw new CideryError(
    'INVALID_INPUT',
    `${JSON.stringify(value.slice(0, 100))} cannot be the ${field} in the name of an image: ${forms[field].means}`,
    { hint },
  )
}

const hasDash = (field: NameField) => field === 'version' || field === 'recipe'

/**
 * The fields of a name; null when the template did not make it. Every field is compared whole: `…-bootstrap-3.60` has the recipe 3.60 and not 3.6.
 */
export function parseImageName({ parts, fields }: ImageName, name: string): NameValues | null {
  const pattern = parts
    .map((part) => ('literal' in part ? part.literal.replaceAll('.', String.raw`\.`) : `(${forms[part.field].written})`))
    .join('')
  const match = new RegExp(`^${pattern}$`).exec(name)
  if (match === null) return null
  return Object.fromEntries(fields.map((field, index) => [field, valueOf(field, match[index + 1] ?? '')]))
}

const valueOf = (field: NameField, text: string) => (hasDash(field) ? text.replaceAll(dash, '-') : text)

/** Whether a name is one of the template with these values, each of them whole. */
export function isImageName(template: ImageName, name: string, wanted: NameValues): boolean {
  const values = parseImageName(template, name)
  return values !== null && Object.entries(wanted).every(([field, value]) => values[field as NameField] === value)
}

/** `date` and `time` of a moment. */
export function dateFields(at: Instant): { readonly date: string; readonly time: string } {
  const text = new Date(at).toISOString()
  return { date: text.slice(0, 10), time: text.slice(11, 19).replaceAll(':', '') }
}
