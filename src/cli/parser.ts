import { Argument, Command, CommanderError, Option } from 'commander'
import { isGroup } from './declare.ts'
import type { CommandDeclaration, CommandNode, Entry, Input, OptionDeclaration } from './declare.ts'
import { helpOfCommand, helpOfGroup, helpOfRoot } from './help/format.ts'
import { globalOptions, viewOptions } from './options.ts'
import { UsageError } from './usage-error.ts'

type Values = Readonly<Record<string, unknown>>

/** What the command line asks for. */
export type Parsed =
  | { readonly kind: 'run'; readonly declaration: CommandDeclaration; readonly input: Input<Values>; readonly global: Values }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }

export interface ParseOptions {
  readonly tree: readonly Entry[]
  readonly args: readonly string[]
  /** The noun that the words name, with its module; undefined when they name none. */
  readonly loaded: { readonly entry: Entry; readonly node: CommandNode } | undefined
  readonly columns: number
}

/** Reads a command line. Throws UsageError, with the nearest right word when something looks like a slip. */
export function parse(options: ParseOptions): Parsed {
  const { tree, args, loaded, columns } = options
  const found: { parsed?: Parsed; help?: string } = {}
  const make = (name: string, help: string) => newCommand(name, (text) => void (found.help = text), help)
  const rootHelp = helpOfRoot(tree, columns)
  const root = make('cidery', rootHelp).enablePositionalOptions().option('-V, --version', 'print the version')
  addOptions(root, [...globalOptions, ...viewOptions])
  for (const entry of tree) {
    if (entry !== loaded?.entry)
      root.addCommand(make(entry.name, '').aliases([...(entry.aliases ?? [])]), { hidden: entry.hidden === true })
  }
  if (loaded !== undefined) {
    const add = (declaration: CommandDeclaration, path: string) => {
      const command = make(declaration.name, helpOfCommand(path, declaration, columns))
      return toCommander(declaration, command).action(() => {
        found.parsed = {
          kind: 'run',
          declaration,
          input: { args: command.args, options: command.opts(), tree },
          global: mergedOptions(command),
        }
      })
    }
    root.addCommand(withVerbs(loaded, columns, { make, add }))
  }
  root.action(() => {
    if (root.opts()['version'] === true) found.parsed = { kind: 'version' }
    else throw new UsageError('say what to do', rootHelp)
  })
  try {
    root.parse([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return fromCommander(error, { help: found.help ?? '', usage: usageLine(options) })
    throw error
  }
  return found.parsed ?? { kind: 'help', text: found.help ?? rootHelp }
}

interface Makers {
  readonly make: (name: string, help: string) => Command
  readonly add: (declaration: CommandDeclaration, path: string) => Command
}

function withVerbs({ entry, node }: NonNullable<ParseOptions['loaded']>, columns: number, { make, add }: Makers): Command {
  const aliases = [...(entry.aliases ?? [])]
  if (!isGroup(node)) return add(node, `cidery ${entry.name}`).aliases(aliases)
  const group = make(entry.name, helpOfGroup(entry, node.verbs, columns))
    .aliases(aliases)
    .enablePositionalOptions()
  for (const verb of node.verbs) group.addCommand(add(verb, `cidery ${entry.name} ${verb.name}`), { hidden: verb.hidden === true })
  return group
}

function fromCommander(error: CommanderError, { help, usage }: { readonly help: string; readonly usage: string }): Parsed {
  if (error.code === 'commander.helpDisplayed') return { kind: 'help', text: help }
  if (error.code === 'commander.help') throw new UsageError('say which command', help)
  const [message = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  throw new UsageError(message, [more.join(' ').replace(/^\((.*)\)$/, '$1'), usage].filter((part) => part !== '').join('  '))
}

/** `usage: cidery job <command> [options]; cidery job --help shows more`. */
function usageLine({ loaded }: ParseOptions): string {
  const path = loaded === undefined ? 'cidery' : `cidery ${loaded.entry.name}`
  const verb = loaded !== undefined && !isGroup(loaded.node) ? '[options]' : '<command> [options]'
  return `(usage: ${path} ${verb}; ${path} --help shows more)`
}

function newCommand(name: string, keep: (text: string) => void, help: string): Command {
  return new Command(name)
    .exitOverride()
    .helpOption('-h, --help')
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureOutput({ writeOut: keep, writeErr: keep, outputError: () => undefined })
    .configureHelp({ formatHelp: () => help })
}

function toCommander(declaration: CommandDeclaration, command: Command): Command {
  command.aliases([...(declaration.aliases ?? [])])
  for (const argument of declaration.arguments ?? []) command.addArgument(new Argument(argument.name, argument.about))
  addOptions(command, [...(declaration.options ?? []), ...(declaration.prints === 'view' ? viewOptions : []), ...globalOptions])
  if (declaration.passThrough === true) command.passThroughOptions()
  return command.allowExcessArguments(false)
}

function addOptions(command: Command, options: readonly OptionDeclaration[]): void {
  for (const declared of options) {
    const option = new Option(declared.flags, declared.about)
    if (declared.many === true) option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value])
    command.addOption(option)
  }
}

/** Options given before the command's name and after it; the later one wins. */
function mergedOptions(command: Command): Values {
  const chain: Command[] = []
  for (let at: Command | null = command; at !== null; at = at.parent) chain.unshift(at)
  const merged: Record<string, unknown> = {}
  for (const at of chain) {
    for (const [name, value] of Object.entries(at.opts())) if (at.getOptionValueSource(name) !== 'default') merged[name] = value
  }
  return merged
}
