import { commands, type CommandSpec, type OptionSpec } from './command-table.ts'
import { RuntimeFailure, ValidationFailure } from './failures.ts'
import { profile } from './profile.ts'

/** A command line that was understood. */
export interface Parsed {
  readonly command: string
  readonly words: readonly string[]
  has(flag: string): boolean
  /** Last value of an option, or its default. */
  value(option: string): string | undefined
  values(option: string): readonly string[]
  number(option: string): number | undefined
}

/** A command line that was not: what is printed, and where. */
export class Refused extends RuntimeFailure {
  readonly toStdout: boolean

  constructor(message: string, exitCode: number, toStdout = false) {
    super(message, exitCode)
    this.toStdout = toStdout
  }
}

function synopsis([name, option]: readonly [string, OptionSpec]): string {
  const word = `--${name}${option.kind === 'flag' ? '' : ` <${name}>`}`
  return `[${word}]${option.kind === 'many' ? ' ...' : ''}`
}

function usageOf(name: string, spec: CommandSpec): string {
  const options = Object.entries(spec.options).map((entry) => synopsis(entry))
  const words = spec.words.map((word) => `<${word}>`)
  return ['Usage: tart', name, ...words, ...(spec.rest === undefined ? [] : [`<${spec.rest}> ...`]), ...options].join(' ')
}

function known(): readonly string[] {
  return Object.keys(commands).filter((name) => name !== 'exec' || profile.hasExec)
}

const overview = (): string =>
  [
    'OVERVIEW: macOS and Linux VMs on Apple Silicon',
    '',
    'USAGE: tart <subcommand>',
    '',
    'OPTIONS:',
    '  --version               Show the version.',
    '  -h, --help              Show help information.',
    '',
    'SUBCOMMANDS:',
    ...known()
      .filter((name) => commands[name]?.hidden !== true)
      .map((name) => `  ${name}`),
    '',
    "  See 'tart help <subcommand>' for detailed help.",
  ].join('\n')

class Reading implements Parsed {
  readonly command: string
  readonly words: string[] = []
  readonly #spec: CommandSpec
  readonly #found = new Map<string, string[]>()

  constructor(command: string, spec: CommandSpec) {
    this.command = command
    this.#spec = spec
  }

  read(given: readonly string[]): this {
    for (let at = 0; at < given.length; at += 1) {
      const word = given[at] ?? ''
      const full = this.#spec.rest !== undefined && this.words.length >= this.#spec.words.length
      // What comes behind the name of the machine is the command's own.
      if (full && this.#spec.passthrough === true) {
        this.words.push(...given.slice(at))
        break
      }
      if (word === '--') {
        this.words.push(...given.slice(at + 1))
        break
      }
      if (/^-[a-z]{2,}$/.test(word)) for (const letter of word.slice(1)) this.#option(`-${letter}`, undefined)
      else if (word.startsWith('-') && word !== '-') at += this.#option(word, given[at + 1])
      else this.words.push(word)
    }
    this.#count()
    return this
  }

  has(flag: string): boolean {
    return this.#found.has(flag)
  }

  values(option: string): readonly string[] {
    return this.#found.get(option) ?? []
  }

  value(option: string): string | undefined {
    return this.values(option).at(-1) ?? this.#spec.options[option]?.fallback
  }

  number(option: string): number | undefined {
    const text = this.value(option)
    return text === undefined ? undefined : Number(text)
  }

  /** Takes one option; gives how many words more it took. */
  #option(word: string, next: string | undefined): number {
    if (word === '--help' || word === '-h') throw new Refused(this.#help(), 0, true)
    const [, name = word, inline] = /^(--?[^=]+)(?:=([\s\S]*))?$/.exec(word) ?? []
    const entry = Object.entries(this.#spec.options).find(([long, { short }]) => name === `--${long}` || name === `-${short ?? '-'}`)
    if (entry === undefined) throw new ValidationFailure(`Unknown option '${name}'`)
    const [long, spec] = entry
    if (spec.kind === 'flag') {
      this.#found.set(long, ['yes'])
      return 0
    }
    const value = inline ?? (next !== undefined && /^-./.test(next) ? undefined : next)
    if (value === undefined) throw new ValidationFailure(`Missing value for '--${long} <${long}>'`)
    this.#fits(long, spec, value)
    this.#found.set(long, [...this.values(long), value])
    return inline === undefined ? 1 : 0
  }

  #fits(long: string, spec: OptionSpec, value: string): void {
    const whole = /^\d+$/.test(value) && Number(value) <= (spec.most ?? Number.MAX_SAFE_INTEGER)
    if (spec.number === true && !whole) throw new ValidationFailure(`The value '${value}' is invalid for '--${long} <${long}>'`)
    if (spec.oneOf !== undefined && !spec.oneOf.includes(value)) {
      throw new ValidationFailure(
        `The value '${value}' is invalid for '--${long} <${long}>'. Please provide one of ${spec.oneOf.map((each) => `'${each}'`).join(', ')}.`,
      )
    }
  }

  #count(): void {
    const missing = this.#spec.words[this.words.length]
    if (missing !== undefined) throw new ValidationFailure(`Missing expected argument '<${missing}>'`)
    const extra = this.words[this.#spec.words.length]
    if (extra === undefined && this.#spec.rest !== undefined)
      throw new ValidationFailure(`Missing expected argument '<${this.#spec.rest}> ...'`)
    if (extra !== undefined && this.#spec.rest === undefined) throw new ValidationFailure(`Unexpected argument '${extra}'`)
  }

  #help(): string {
    return `OVERVIEW: ${this.#spec.about}\n\n${usageOf(this.command, this.#spec).replace('Usage:', 'USAGE:')}\n`
  }
}

/** Understands a command line, or throws `Refused` with all that has to be printed. */
export function readCommandLine(given: readonly string[]): Parsed {
  const [name = '--help', ...rest] = given
  if (['--help', '-h', 'help'].includes(name)) throw new Refused(overview(), 0, true)
  if (name === '--version') throw new Refused(profile.version, 0, true)
  const spec = known().includes(name) ? commands[name] : undefined
  if (spec === undefined) {
    const what = name.startsWith('-') ? `Unknown option '${name}'` : `Unexpected argument '${name}'`
    throw new Refused(`Error: ${what}\nUsage: tart <subcommand>\n  See 'tart --help' for more information.`, 64)
  }
  return withUsage(name, () => new Reading(name, spec).read(rest))
}

/** Turns a validation failure into what is printed for it. */
export function withUsage<T>(name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw refusalOf(name, error)
  }
}

/** What is printed for a validation failure; other errors stay as they are. */
export function refusalOf(name: string, error: unknown): unknown {
  const spec = commands[name]
  if (!(error instanceof ValidationFailure) || spec === undefined) return error
  return new Refused(`Error: ${error.message}\n${usageOf(name, spec)}\n  See 'tart ${name} --help' for more information.`, 64)
}
