import { nearest } from '../client/nearest.ts'
import { command, exitCodes, findEntry, isGroup } from '../declare.ts'
import type { Entry } from '../declare.ts'
import { helpOfCommand, helpOfGroup, helpOfRoot } from '../help/format.ts'
import { helpTopics } from '../help/topics.ts'
import { UsageError } from '../usage-error.ts'

interface HelpOptions {
  readonly markdown?: string
}

export const help = command<HelpOptions>({
  name: 'help',
  summary: 'show help of a command or a topic',
  examples: [
    ['cidery help job logs', 'the same as cidery job logs --help'],
    ['cidery help exit-codes', 'a topic: exit-codes, environment or output'],
  ],
  arguments: [
    {
      name: '[word...]',
      about: 'a command, or exit-codes, environment or output',
      completes: 'command',
    },
  ],
  options: [
    { flags: '--markdown <page>', about: 'the reference page cli or errors, as docs/reference has it', completes: ['cli', 'errors'] },
  ],
  prints: 'text',
  async run(cli, { args, options, tree }) {
    const columns = Math.min(cli.stdout.columns, 100)
    await cli.stdout.write(options.markdown === undefined ? await helpOf(tree, args, columns) : await page(tree, options.markdown))
    return exitCodes.ok
  },
})

async function page(tree: readonly Entry[], name: string): Promise<string> {
  const { cliReference, errorReference } = await import('../help/markdown.ts')
  if (name === 'cli') return cliReference(tree)
  if (name === 'errors') return errorReference()
  throw new UsageError(`there is no page '${name}'`, 'cli or errors')
}

async function helpOf(tree: readonly Entry[], [noun, verb]: readonly string[], columns: number): Promise<string> {
  if (noun === undefined) return helpOfRoot(tree, columns)
  const topic = helpTopics[noun]
  if (topic !== undefined) return topic.text
  const entry = findEntry(tree, noun)
  if (entry === undefined) throw unknown(noun, [...tree.map(({ name }) => name), ...Object.keys(helpTopics)])
  const node = await entry.load()
  if (!isGroup(node)) return helpOfCommand(`cidery ${entry.name}`, node, columns)
  if (verb === undefined) return helpOfGroup(entry, node.verbs, columns)
  const found = node.verbs.find((one) => one.name === verb || one.aliases?.includes(verb) === true)
  if (found !== undefined) return helpOfCommand(`cidery ${entry.name} ${found.name}`, found, columns)
  throw unknown(
    `${noun} ${verb}`,
    node.verbs.map(({ name }) => `${noun} ${name}`),
  )
}

function unknown(words: string, known: readonly string[]): UsageError {
  const near = nearest(words, known)
  return new UsageError(`there is no help on '${words}'`, near === undefined ? 'cidery --help lists everything' : `Did you mean ${near}?`)
}
