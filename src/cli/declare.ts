import type { Cli } from './cli.ts'

/** What completes a word: names that the controller knows, files, or a fixed list. */
export type Completes =
  | 'job'
  | 'host'
  | 'pool'
  | 'queue'
  | 'sandbox'
  | 'operation'
  | 'secret'
  | 'user'
  | 'token'
  | 'subject'
  | 'command'
  | 'file'
  | 'directory'
  | readonly string[]

export interface OptionDeclaration {
  /** As in the help: `-f, --follow` or `--queue <name>`. */
  readonly flags: string
  readonly about: string
  /** May be given several times. */
  readonly many?: true
  readonly completes?: Completes
}

export interface ArgumentDeclaration {
  /** `<job>`, `[host]`, `<command...>`. */
  readonly name: string
  readonly about: string
  readonly completes?: Completes
}

export interface Input<O> {
  /** Positional words in order. */
  readonly args: readonly string[]
  readonly options: O
  /** Every command there is, for the few that speak of others. */
  readonly tree: readonly Entry[]
}

/** One command, declared once: help, completion, the reference page and the parser are made from it. */
export interface CommandDeclaration {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly summary: string
  readonly details?: string
  /** `[line, what it does]`; shown first in the help. */
  readonly examples: readonly (readonly [string, string])[]
  readonly arguments?: readonly ArgumentDeclaration[]
  readonly options?: readonly OptionDeclaration[]
  /** Words from the first positional on belong to the command that is run, not to us. */
  readonly passThrough?: true
  /** `view`: obeys `--output`. `text`: prints one fixed form. */
  readonly prints: 'view' | 'text'
  readonly hidden?: true
  /** Resolves with the exit code. */
  readonly run: (cli: Cli, input: Input<Readonly<Record<string, unknown>>>) => Promise<number>
}

/** A noun with its verbs: `cidery job ls`. */
export interface GroupDeclaration {
  readonly name: string
  readonly verbs: readonly CommandDeclaration[]
}

export type CommandNode = CommandDeclaration | GroupDeclaration

/** A word after `cidery`. Its module is loaded only when the word is typed: `--version` and `--help` load none. */
export interface Entry {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly heading: 'Jobs' | 'Fleet' | 'Plan' | 'People' | 'Processes' | 'Help'
  readonly summary: string
  readonly hidden?: true
  readonly load: () => Promise<CommandNode>
}

export function isGroup(node: CommandNode): node is GroupDeclaration {
  return 'verbs' in node
}

/** The entry of a word or of one of its aliases. */
export function findEntry(tree: readonly Entry[], word: string): Entry | undefined {
  return tree.find((entry) => entry.name === word || entry.aliases?.includes(word) === true)
}

/** Gives the options of a command their types; commander has checked that they are what the flags say. */
export function command<O extends object>(
  declaration: Omit<CommandDeclaration, 'run'> & { readonly run: (cli: Cli, input: Input<O>) => Promise<number> },
): CommandDeclaration {
  return { ...declaration, run: (cli, input) => declaration.run(cli, { ...input, options: input.options as O }) }
}

/** Exit codes of all commands but `run`, `exec` and `ssh`, which end as what they ran. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, notEmpty: 3, auth: 4, timedOut: 124, notRun: 125, cancelled: 130 } as const
