import type { CommandDeclaration, Entry, OptionDeclaration } from '../declare.ts'
import { globalOptions, viewOptions } from '../options.ts'

/** Help of one command: what it does, examples first, then the words it takes. Ends with a line break. */
export function helpOfCommand(path: string, declaration: CommandDeclaration, columns: number): string {
  const own = declaration.options ?? []
  const shared = declaration.prints === 'view' ? [...viewOptions, ...globalOptions] : globalOptions
  const parts = [
    sentence(declaration.summary),
    section('Examples', exampleLines(declaration.examples)),
    section('Usage', [`  ${usageOf(path, declaration)}`]),
    ...(declaration.details === undefined ? [] : [wrap(declaration.details, columns, '')]),
    section(
      'Arguments',
      rows(
        (declaration.arguments ?? []).map((argument) => [argument.name, argument.about]),
        columns,
      ),
    ),
    section('Options', rows(optionRows(own), columns)),
    section('Options of every command', rows([...optionRows(shared), ['-h, --help', 'show this help']], columns)),
    ...(declaration.aliases === undefined ? [] : [`Also called: ${declaration.aliases.join(', ')}`]),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

export function usageOf(path: string, declaration: CommandDeclaration): string {
  const words = (declaration.arguments ?? []).map((argument) => argument.name)
  return [path, '[options]', ...(declaration.passThrough === true ? ['[--]'] : []), ...words].join(' ')
}

/** Help of a noun: its verbs, with the first example of each. */
export function helpOfGroup(
  entry: Pick<Entry, 'name' | 'summary' | 'aliases'>,
  verbs: readonly CommandDeclaration[],
  columns: number,
): string {
  const shown = verbs.filter((verb) => verb.hidden !== true)
  const parts = [
    sentence(entry.summary),
    section('Examples', exampleLines(shown.flatMap((verb) => verb.examples.slice(0, 1)))),
    section('Usage', [`  cidery ${entry.name} <command> [options]`]),
    section(
      'Commands',
      rows(
        shown.map((verb) => [[verb.name, ...(verb.aliases ?? [])].join(', '), verb.summary]),
        columns,
      ),
    ),
    ...(entry.aliases === undefined ? [] : [`Also called: ${entry.aliases.map((alias) => `cidery ${alias}`).join(', ')}`]),
    `More: cidery ${entry.name} <command> --help`,
  ]
  return `${parts.join('\n\n')}\n`
}

/** The first page: what cidery is, three examples, every noun. */
export function helpOfRoot(entries: readonly Entry[], columns: number): string {
  const headings = [...new Set(entries.map((entry) => entry.heading))]
  const width = Math.max(...entries.map((entry) => nameOf(entry).length))
  const parts = [
    'Runs a fleet of macOS CI machines as if it were one machine.',
    section(
      'Examples',
      exampleLines([
        ['cidery up', 'start a controller, a dashboard and an agent for this machine'],
        ['cidery run -- make test', 'run a command in a clean sandbox, with the files of this directory'],
        ['cidery explain job/job_01k…', 'say why a job waits and what to do about it'],
      ]),
    ),
    section('Usage', ['  cidery <command> [options]']),
    ...headings.map((heading) => {
      const shown = entries.filter((entry) => entry.heading === heading && entry.hidden !== true)
      return section(
        heading,
        rows(
          shown.map((entry) => [nameOf(entry).padEnd(width), entry.summary]),
          columns,
        ),
      )
    }),
    section(
      'Options',
      rows(
        [...optionRows([...viewOptions, ...globalOptions]), ['-V, --version', 'print the version'], ['-h, --help', 'show this help']],
        columns,
      ),
    ),
    'More: cidery help <command>, cidery help exit-codes, cidery help environment, cidery help output',
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function nameOf(entry: Entry): string {
  return [entry.name, ...(entry.aliases ?? [])].join(', ')
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
}

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? '' : `${title}:\n${lines.join('\n')}`
}

function exampleLines(examples: readonly (readonly [string, string])[]): readonly string[] {
  return examples.flatMap(([line, about]) => [`  # ${about}`, `  ${line}`])
}

function optionRows(options: readonly OptionDeclaration[]): readonly (readonly [string, string])[] {
  return options.map((option) => [
    option.flags.startsWith('--') ? `    ${option.flags}` : option.flags,
    `${option.about}${option.many === true ? '; may be repeated' : ''}`,
  ])
}

function rows(items: readonly (readonly [string, string])[], columns: number): readonly string[] {
  const width = Math.max(0, ...items.map(([left]) => left.length))
  const indent = ' '.repeat(width + 4)
  return items.map(([left, right]) => `  ${left.padEnd(width)}  ${wrap(right, Math.max(20, columns - indent.length), indent)}`.trimEnd())
}

/** Breaks text at spaces so that no line is longer than `width`, but for single words; `indent` goes before each line but the first. */
export function wrap(text: string, width: number, indent: string): string {
  return text
    .split('\n')
    .map((paragraph) => {
      const lines: string[] = []
      let line = ''
      for (const word of paragraph.split(' ')) {
        if (line !== '' && line.length + 1 + word.length > width) {
          lines.push(line)
          line = word
        } else {
          line = line === '' ? word : `${line} ${word}`
        }
      }
      return [...lines, line].join(`\n${indent}`)
    })
    .join(`\n${indent}`)
}
