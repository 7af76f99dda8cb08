/**
 * A version as tools and package managers write it. Not semver: `3.12`, `4.00.03`, `9.2p1` and `1:2.39.5-0+deb12u2` are versions here.
 */
export interface ToolVersion {
  /** As it was written, without a leading v. */
  readonly text: string
  /** The numbers before the first other sign. */
  readonly numbers: readonly number[]
  /** `rc1`, `-canary.3`: it comes before the version that its numbers name, and no range takes it. */
  readonly preRelease: boolean
}

const preRelease = /^[-.~]?(?:(?:alpha|beta|canary|dev|nightly|pre|preview|rc)(?![a-z])|[ab]\d)/i
const versionPattern = /^(?:(\d{1,9}):)?(\d{1,9}(?:\.\d{1,9}){0,7})([a-z][0-9A-Za-z.+~-]*|[-+~][0-9A-Za-z.+~-]+|\.(?:dev|post|rc)\d*)?$/

/**
 * Reads a version; undefined for what is none. An epoch (`1:`) counts for being the same, and not for ranges.
 *
 * @example parseToolVersion('v24.3.0')?.numbers // [24, 3, 0]
 */
export function parseToolVersion(written: string): ToolVersion | undefined {
  const text = written.replace(/^v(?=\d)/, '')
  const [, , numbers, rest = ''] = versionPattern.exec(text) ?? []
  if (numbers === undefined || text.length > 100) return undefined
  return { text, numbers: numbers.split('.').map(Number), preRelease: preRelease.test(rest) }
}

/** Negative when `one` is the older; a number that is not there is 0. */
function compareNumbers(one: readonly number[], other: readonly number[]): number {
  for (let index = 0; index < Math.max(one.length, other.length); index += 1) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

type Operator = '>=' | '>' | '<=' | '<'

interface Bound {
  readonly operator: Operator
  readonly numbers: readonly number[]
}

type Demand =
  | { readonly kind: 'any' }
  | { readonly kind: 'exact'; readonly text: string }
  | { readonly kind: 'range'; readonly bounds: readonly Bound[] }

function boundOf(word: string): Bound | undefined {
  const [, operator, written = ''] = /^(>=|<=|>|<)(\d{1,9}(?:\.\d{1,9}){0,7})$/.exec(word) ?? []
  return operator === undefined ? undefined : { operator: operator as Operator, numbers: written.split('.').map(Number) }
}

function parseDemand(text: string): Demand | undefined {
  const words = text.trim().split(/\s+/)
  if (words.length === 1 && words[0] === 'any') return { kind: 'any' }
  const bounds = words.map(boundOf)
  if (bounds.every((bound) => bound !== undefined)) return { kind: 'range', bounds }
  const version = words.length === 1 ? parseToolVersion(words[0] ?? '') : undefined
  return version === undefined ? undefined : { kind: 'exact', text: version.text }
}

/** What is wrong with a demand; null: nothing. */
export function demandProblem(text: string): string | null {
  const demand = parseDemand(text)
  if (demand === undefined) return 'a version such as 19.1.7, a range such as ">=3.11 <3.13", or any'
  if (demand.kind !== 'range') return null
  const { bounds } = demand
  const most = bounds.filter(({ operator }) => operator.startsWith('<'))
  const least = bounds.filter(({ operator }) => operator.startsWith('>'))
  const empty = least.some((low) => most.some((high) => isEmpty(low, high)))
  return empty ? `a range that something can be in; nothing is in "${text.trim()}"` : null
}

function isEmpty(low: Bound, high: Bound): boolean {
  const order = compareNumbers(low.numbers, high.numbers)
  return order > 0 || (order === 0 && (low.operator === '>' || high.operator === '<'))
}

/**
 * Whether a version that was found is one that is demanded. An exact demand is the same text (a leading v aside): `3.11` is not `3.11.0`. A range compares numbers, so that
 * `1:2.39.5-0+deb12u2` is in `>=2.39`; a pre-release is in none. What cannot be read satisfies only `any`.
 *
 * @example satisfies('3.11.2', '>=3.11 <3.13') // true
 */
export function satisfies(found: string, demanded: string): boolean {
  const demand = parseDemand(demanded)
  const version = parseToolVersion(found)
  if (demand === undefined) return false
  if (demand.kind === 'any') return true
  if (version === undefined) return false
  if (demand.kind === 'exact') return version.text === demand.text
  return !version.preRelease && demand.bounds.every((bound) => isWithin(version.numbers, bound))
}

function isWithin(numbers: readonly number[], { operator, numbers: limit }: Bound): boolean {
  const order = compareNumbers(numbers, limit)
  switch (operator) {
    case '>=':
      return order >= 0
    case '>':
      return order > 0
    case '<=':
      return order <= 0
    case '<':
      return order < 0
  }
}

/** A number with a dot, and what belongs to it; not inside another number. */
const inOutput = /(?<![\d.:])(?:\d{1,9}:)?\d{1,9}(?:\.\d{1,9}){1,7}(?:[a-z]\w*)?(?:[-+~][0-9A-Za-z]+(?:[.+~-][0-9A-Za-z]+)*)?/

/** Longest part of an output that is looked at. */
const outputLimit = 20_000

/**
 * The version in what a tool printed: the group of the pattern, else the first number with a dot. Undefined: there is none.
 *
 * @example findVersion('clang version 19.1.7 (https://github.com/llvm)') // '19.1.7'
 */
export function findVersion(output: string, pattern?: string): string | undefined {
  const looked = output.slice(0, outputLimit)
  return pattern === undefined ? inOutput.exec(looked)?.[0] : new RegExp(pattern, 'm').exec(looked)?.[1]
}
