import type { Cli, OutputFormat, Outside } from './cli.ts'
import { outputFormats } from './cli.ts'
import { nearest } from './client/nearest.ts'
import { findEntry } from './declare.ts'
import type { Entry } from './declare.ts'
import { globalOptions, readFlags, viewOptions } from './options.ts'
import { renderError } from './render/problem.ts'
import { wantsColor } from './render/style.ts'
import { tree } from './tree.ts'
import { Exit, UsageError } from './usage-error.ts'

/** Reads the words of a command line, runs the command and resolves with the exit code; what went wrong is told on stderr. */
export async function runProgram(outside: Outside, args: readonly string[]): Promise<number> {
  const noColor = args.includes('--no-color')
  let running: { readonly notRunCode: boolean } = { notRunCode: false }
  try {
    const { parse } = await import('./parser.ts')
    const entry = entryOf(nounOf(args))
    const loaded = entry === undefined ? undefined : { entry, node: await entry.load() }
    const parsed = parse({ tree, args, loaded, columns: Math.min(outside.stdout.columns, 100) })
    if (parsed.kind === 'version') await outside.stdout.write(`cidery ${outside.version}\n`)
    if (parsed.kind === 'help') await outside.stdout.write(parsed.text)
    if (parsed.kind !== 'run') return 0
    const cli = withSettings(outside, parsed.global)
    running = { notRunCode: parsed.declaration.passThrough === true }
    return await parsed.declaration.run(cli, parsed.input)
  } catch (error) {
    if (error instanceof Exit) return error.code
    const { text, code } = renderError(error, {
      color: !noColor && wantsColor(outside.env, outside.stderr.isTTY),
      notRunCode: running.notRunCode,
    })
    await outside.stderr.write(text)
    return code
  }
}

/** The first word that is neither an option nor the value of one. */
function nounOf(args: readonly string[]): string | undefined {
  const withValue = new Set<string>()
  for (const { flags } of [...globalOptions, ...viewOptions]) {
    const { short, long, takesValue } = readFlags(flags)
    if (takesValue) for (const name of [short, long]) if (name !== undefined) withValue.add(name)
  }
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? ''
    if (withValue.has(word)) index += 1
    else if (!word.startsWith('-')) return word
  }
  return undefined
}

/** The command of a word; undefined when there is no word. Throws UsageError with the nearest command for one that is none. */
function entryOf(word: string | undefined): Entry | undefined {
  if (word === undefined) return undefined
  const entry = findEntry(tree, word)
  if (entry !== undefined) return entry
  const names = tree.filter(({ hidden }) => hidden !== true).flatMap(({ name, aliases }) => [name, ...(aliases ?? [])])
  const near = nearest(word, names)
  throw new UsageError(
    `unknown command '${word}'`,
    `${near === undefined ? '' : `Did you mean ${near}?  `}(usage: cidery <command> [options]; cidery --help shows more)`,
  )
}

function withSettings(outside: Outside, options: Readonly<Record<string, unknown>>): Cli {
  const { env } = outside
  const color = options['color'] !== false && wantsColor(env, outside.stdout.isTTY)
  const settings = {
    url: typeof options['url'] === 'string' ? options['url'] : undefined,
    output: outputOf(options, env['CIDERY_OUTPUT']),
    noInput: options['input'] === false || isSet(env['CIDERY_PROMPT_DISABLED']),
    quiet: options['quiet'] === true,
    color,
  }
  return { ...outside, settings }
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0'
}

function outputOf(options: Readonly<Record<string, unknown>>, fromEnvironment: string | undefined): OutputFormat {
  if (options['json'] === true) return 'json'
  const asked = typeof options['output'] === 'string' ? options['output'] : fromEnvironment || 'table'
  const format = outputFormats.find((known) => known === asked)
  if (format === undefined) throw new UsageError(`there is no output format '${asked}'`, `one of ${outputFormats.join(', ')}`)
  return format
}
