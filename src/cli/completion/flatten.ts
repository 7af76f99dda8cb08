import { isGroup } from '../declare.ts'
import type { CommandDeclaration, Completes, Entry } from '../declare.ts'
import { helpTopics } from '../help/topics.ts'
import { globalOptions, readFlags, viewOptions } from '../options.ts'

export interface CompletedOption {
  readonly names: readonly string[]
  readonly about: string
  readonly takesValue: boolean
  readonly completes: Completes | undefined
}

/** One command with every way to write it. */
export interface CompletedCommand {
  /** `job ls`, `job list`; the first is the usual one. */
  readonly paths: readonly string[]
  readonly summary: string
  readonly options: readonly CompletedOption[]
  readonly arguments: readonly { readonly completes: Completes | undefined; readonly many: boolean }[]
}

export interface CompletedNoun {
  readonly names: readonly string[]
  readonly summary: string
  /** Undefined for a noun that is a command itself. */
  readonly verbs: readonly { readonly names: readonly string[]; readonly summary: string }[] | undefined
}

export interface CompletionTree {
  readonly nouns: readonly CompletedNoun[]
  readonly commands: readonly CompletedCommand[]
}

/** Everything that can be completed, read from the declarations. */
export async function flattenTree(tree: readonly Entry[]): Promise<CompletionTree> {
  const words = [...Object.keys(helpTopics), ...tree.filter((entry) => entry.hidden !== true).map((entry) => entry.name)]
  const nouns: CompletedNoun[] = []
  const commands: CompletedCommand[] = []
  for (const entry of tree) {
    if (entry.hidden === true) continue
    const names = [entry.name, ...(entry.aliases ?? [])]
    const node = await entry.load()
    if (!isGroup(node)) {
      nouns.push({ names, summary: entry.summary, verbs: undefined })
      commands.push(flattenCommand(names, node, words))
      continue
    }
    const verbs = node.verbs.filter((verb) => verb.hidden !== true)
    nouns.push({
      names,
      summary: entry.summary,
      verbs: verbs.map((verb) => ({ names: [verb.name, ...(verb.aliases ?? [])], summary: verb.summary })),
    })
    for (const verb of verbs) {
      const paths = names.flatMap((noun) => [verb.name, ...(verb.aliases ?? [])].map((word) => `${noun} ${word}`))
      commands.push(flattenCommand(paths, verb, words))
    }
  }
  return { nouns, commands }
}

/** `words` complete what takes the name of a command. */
function flattenCommand(paths: readonly string[], declaration: CommandDeclaration, words: readonly string[]): CompletedCommand {
  const declared = [...(declaration.options ?? []), ...(declaration.prints === 'view' ? viewOptions : []), ...globalOptions]
  return {
    paths,
    summary: declaration.summary,
    options: [...declared, { flags: '-h, --help', about: 'show this help' }].map((option) => {
      const { short, long, takesValue } = readFlags(option.flags)
      return {
        names: short === undefined ? [long] : [short, long],
        about: option.about,
        takesValue,
        completes: 'completes' in option ? option.completes : undefined,
      }
    }),
    arguments: (declaration.arguments ?? []).map(({ name, completes }) => ({
      completes: completes === 'command' ? words : completes,
      many: name.includes('...'),
    })),
  }
}

/** How the scripts write what completes a word: `=a b` fixed words, `@host` names to ask for, `file`, `directory`; empty for none. */
export function kindText(completes: Completes | undefined): string {
  if (completes === undefined) return ''
  if (typeof completes !== 'string') return `=${completes.join(' ')}`
  return completes === 'file' || completes === 'directory' ? completes : `@${completes}`
}
