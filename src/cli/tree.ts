import type { CommandDeclaration, GroupDeclaration } from './declare.ts'

export type Node = CommandDeclaration | GroupDeclaration

/** A word after `cidery`. Its module is loaded only when the word is typed: `--version` and `--help` load none. */
export interface Entry {
  readonly name: string
  readonly aliases?: readonly string[]
  readonly heading: 'Jobs' | 'Fleet' | 'Sandboxes' | 'Plan' | 'People' | 'Processes' | 'Help'
  readonly summary: string
  readonly hidden?: true
  readonly load: () => Promise<Node>
}

/** Every command, in the order of the help. "A new noun is one entry here." */
export const tree: readonly Entry[] = [
  {
    name: 'run',
    heading: 'Jobs',
    summary: 'run a command in a clean sandbox and end with its exit code',
    load: async () => (await import('./commands/run.ts')).run,
  },
  {
    name: 'job',
    heading: 'Jobs',
    summary: 'list, show, follow, cancel and repeat jobs',
    load: async () => (await import('./commands/job/job.ts')).job,
  },
]

export function isGroup(node: Node): node is GroupDeclaration {
  return 'verbs' in node
}

/** The entry of a word or of one of its aliases. */
export function findEntry(word: string): Entry | undefined {
  return tree.find((entry) => entry.name === word || entry.aliases?.includes(word) === true)
}
