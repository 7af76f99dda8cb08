import { errorCodes } from '../../model/errors.ts'
import { isGroup } from '../declare.ts'
import type { CommandDeclaration, Entry } from '../declare.ts'
import { helpOfCommand } from './format.ts'
import { helpTopics } from './topics.ts'

const columns = 100

/** The page docs/reference/cli.md: every command with its help text. */
export async function cliReference(tree: readonly Entry[]): Promise<string> {
  const parts = [
    '# The command line',
    'Made by `cidery help --markdown cli > docs/reference/cli.md`; do not edit. A test compares this page with the program.',
    ...Object.values(helpTopics).map(({ text }) => topic(text)),
  ]
  for (const heading of new Set(tree.map((entry) => entry.heading))) {
    parts.push(`## ${heading}`)
    for (const entry of tree) if (entry.heading === heading && entry.hidden !== true) parts.push(...(await sectionsOf(entry)))
  }
  return `${parts.join('\n\n')}\n`
}

/** A topic's first line is its title. */
function topic(text: string): string {
  const [title = '', ...rest] = text.split('\n')
  return `## ${title}\n\n${fenced(rest.join('\n').trim())}`
}

async function sectionsOf(entry: Entry): Promise<readonly string[]> {
  const node = await entry.load()
  const verbs: readonly (readonly [string, CommandDeclaration])[] = isGroup(node)
    ? node.verbs.filter((verb) => verb.hidden !== true).map((verb) => [`cidery ${entry.name} ${verb.name}`, verb])
    : [[`cidery ${entry.name}`, node]]
  const aliases = entry.aliases === undefined ? '' : ` Also called ${entry.aliases.map((alias) => `\`cidery ${alias}\``).join(', ')}.`
  const intro = isGroup(node)
    ? [`### cidery ${entry.name}`, `${entry.summary.charAt(0).toUpperCase()}${entry.summary.slice(1)}.${aliases}`]
    : []
  const level = isGroup(node) ? '####' : '###'
  return [...intro, ...verbs.flatMap(([path, verb]) => [`${level} ${path}`, fenced(helpOfCommand(path, verb, columns).trim())])]
}

function fenced(text: string): string {
  return `\`\`\`text\n${text}\n\`\`\``
}

/** The page docs/reference/errors.md: every error code of the API. */
export function errorReference(): string {
  const rows = Object.entries(errorCodes).map(([code, { status, retry, meaning }]) => {
    const again = retry === 'soon' ? 'Trying again later can help.' : 'Trying the same again does not help.'
    return `## ${code.toLowerCase()}\n\n\`${code}\`, HTTP ${status}. ${meaning.charAt(0).toUpperCase()}${meaning.slice(1)}. ${again}`
  })
  return `${['# Error codes', 'Made by `cidery help --markdown errors > docs/reference/errors.md`; do not edit. A code is part of the API: it is never renamed, only added.', ...rows].join('\n\n')}\n`
}
