import type { OptionDeclaration } from './declare.ts'

/** Options that every command takes, before or after its name. */
export const globalOptions: readonly OptionDeclaration[] = [
  { flags: '--url <url>', about: 'controller to talk to, or several with commas between (CIDERY_URL)' },
  { flags: '--no-color', about: 'plain text (NO_COLOR)' },
  { flags: '--no-input', about: 'never ask, fail instead (CIDERY_PROMPT_DISABLED)' },
  { flags: '-q, --quiet', about: 'say nothing on stderr but errors' },
]

/** Options of the commands that print a list or a thing. */
export const viewOptions: readonly OptionDeclaration[] = [
  {
    flags: '-o, --output <format>',
    about: 'table, wide, json, yaml or name (CIDERY_OUTPUT)',
    completes: ['table', 'wide', 'json', 'yaml', 'name'],
  },
  { flags: '--json', about: 'the same as --output json' },
]

/** What an option's flags say: `-f, --queue <name>` has the short form `-f`, the long form `--queue` and takes a value. */
export function readFlags(flags: string): { readonly short: string | undefined; readonly long: string; readonly takesValue: boolean } {
  const words = flags.split(/[ ,]+/)
  return {
    short: words.find((word) => /^-[^-]$/.test(word)),
    long: words.find((word) => word.startsWith('--')) ?? '',
    takesValue: /[<[]/.test(flags),
  }
}
