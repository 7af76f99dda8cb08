import type { Cli } from '../cli.ts'
import { paint } from './style.ts'
import { renderTable } from './table.ts'
import type { Cell, Column } from './table.ts'
import { cleanText } from './text.ts'

/** The form of everything that `--output json` prints. A field is never renamed or removed under one number, only added. */
export const schemaVersion = 1

export interface ListView<T> {
  readonly items: readonly T[]
  readonly nextCursor?: string | null
  readonly columns: readonly Column<T>[]
  /** What `--output name` prints of each. */
  readonly name: (item: T) => string
  /** Said on stderr instead of an empty table. */
  readonly empty: string
}

/** Prints a list as the person asked for it. */
export async function printList<T>(cli: Cli, view: ListView<T>): Promise<void> {
  const { output } = cli.settings
  if (output === 'json' || output === 'yaml') return printData(cli, { items: view.items, nextCursor: view.nextCursor ?? null })
  if (output === 'name') return cli.stdout.write(view.items.map((item) => `${cleanText(view.name(item))}\n`).join(''))
  if (view.items.length === 0) {
    if (!cli.settings.quiet) await cli.stderr.write(`${view.empty}\n`)
    return
  }
  const width = cli.stdout.isTTY ? cli.stdout.columns : undefined
  await cli.stdout.write(renderTable(view.items, view.columns, { width, color: cli.settings.color, wide: output === 'wide' }))
  if (view.nextCursor !== undefined && view.nextCursor !== null && !cli.settings.quiet)
    await cli.stderr.write('… there are more; --all or --limit shows them\n')
}

export interface ThingView {
  /** What json and yaml print: the thing as the API gives it. */
  readonly value: object
  readonly name: string
  /** For people: a text that ends with a line break. */
  readonly text: () => string
}

/** Prints one thing as the person asked for it. */
export async function printThing(cli: Cli, view: ThingView): Promise<void> {
  const { output } = cli.settings
  if (output === 'json' || output === 'yaml') return printData(cli, view.value)
  await cli.stdout.write(output === 'name' ? `${cleanText(view.name)}\n` : view.text())
}

async function printData(cli: Cli, value: object): Promise<void> {
  const data = { schemaVersion, ...value }
  if (cli.settings.output === 'json') return cli.stdout.write(`${JSON.stringify(data, null, 2)}\n`)
  const { stringify } = await import('yaml')
  await cli.stdout.write(stringify(data))
}

/** `name: value` lines with aligned values; rows whose value is empty are left out. */
export function renderFields(rows: readonly (readonly [string, string | Cell])[], color: boolean): string {
  const cellOf = (value: string | Cell): Cell => (typeof value === 'string' ? { text: value, tone: 'plain' } : value)
  const shown = rows.map(([name, value]) => [name, cellOf(value)] as const).filter(([, { text }]) => text !== '')
  const width = Math.max(0, ...shown.map(([name]) => name.length))
  return shown
    .map(([name, { text, tone }]) => `${paint(`${name}:`.padEnd(width + 1), 'dim', color)} ${paint(cleanText(text), tone, color)}\n`)
    .join('')
}

/** Says something for people, on stderr. */
export async function say(cli: Cli, message: string): Promise<void> {
  if (!cli.settings.quiet) await cli.stderr.write(`${cleanText(message)}\n`)
}
