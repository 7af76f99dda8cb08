import { CideryError } from '../../model/errors.ts'
import { didYouMean } from '../../model/input-problems.ts'

export interface NamedValuesOptions<T> {
  /** The option, for messages. */
  readonly flag: string
  /** Names that may stand before a value; a value alone is meant for the only one, or for all when `forAll` says so. */
  readonly names: readonly string[]
  readonly forAll?: true
  readonly read: (text: string) => T | undefined
  readonly accepted: string
}

/** Reads `20`, or `mac=20,linux=4`, as a value per name. Throws INVALID_INPUT. */
export function namedValues<T>(text: string, options: NamedValuesOptions<T>): ReadonlyMap<string, T> {
  const values = new Map<string, T>()
  for (const word of text.split(',')) {
    const at = word.indexOf('=')
    const value = options.read(word.slice(at + 1).trim())
    if (value === undefined) throw refusal(`${options.flag} '${word}' is not taken`, options.accepted)
    for (const name of at === -1 ? namesMeant(word, options) : [knownName(word.slice(0, at).trim(), options)]) values.set(name, value)
  }
  return values
}

function namesMeant<T>(word: string, { flag, names, forAll }: NamedValuesOptions<T>): readonly string[] {
  if (forAll === true || names.length === 1) return names
  throw refusal(`${flag} '${word}' does not say of which it is`, names.map((name) => `${name}=${word}`).join(' or '))
}

function knownName<T>(name: string, { flag, names }: NamedValuesOptions<T>): string {
  if (names.includes(name)) return name
  throw refusal(`${flag}: there is no ${name}${didYouMean(name, names)}`, `one of ${names.join(', ')}`)
}

function refusal(message: string, hint: string): CideryError {
  return new CideryError('INVALID_INPUT', message, { hint })
}

/** A whole number of at least 0; undefined for anything else. */
export function countOf(text: string): number | undefined {
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined
}
