import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime } from '../../render/time.ts'
import type { ImageState, Whole } from './fleet.ts'

const columns = (cli: Cli) => [
  { head: 'HOST', cell: ({ hostName }: ImageState) => hostName },
  { head: 'IMAGE', cell: ({ image }: ImageState) => image },
  { head: 'READY', cell: ({ ready }: ImageState) => ({ text: ready ? 'yes' : 'no', tone: ready ? ('good' as const) : ('bad' as const) }) },
  { head: 'STATE', cell: ({ code }: ImageState) => code },
  { head: 'RECIPE', cell: ({ recipeVersion }: ImageState) => recipeVersion ?? '-' },
  { head: 'CHECKED', cell: ({ checkedAt }: ImageState) => relativeTime(checkedAt, cli.clock.now()) },
  { head: 'REASON', cell: ({ reason }: ImageState) => reason, shrink: true as const },
  { head: 'BUILD', cell: ({ buildName }: ImageState) => buildName ?? '', wide: true as const },
  { head: 'REFERENCE', cell: ({ reference }: ImageState) => reference ?? '', wide: true as const },
]

async function statesOf(cli: Cli, name: string | undefined): Promise<readonly ImageState[]> {
  const api = await openApi(cli)
  const path = name === undefined ? '/image-states' : `/images/${encodeURIComponent(name)}/hosts`
  const { items } = await api.get<Whole<ImageState>>(path)
  return items.toSorted(
    (one, other) => one.hostName.localeCompare(other.hostName, 'en', { numeric: true }) || one.image.localeCompare(other.image),
  )
}

async function print(cli: Cli, items: readonly ImageState[]): Promise<void> {
  await printList(cli, {
    items,
    name: ({ hostName, image }) => `${hostName}/${image}`,
    empty: 'no host looks after an image that the fleet manages',
    columns: columns(cli),
  })
}

export const check = command({
  name: 'check',
  summary: 'say whether images are ready on their hosts; exit code 1 when one is not',
  examples: [
    ['cidery image check', 'every image on every host'],
    ['cidery image check macos-15 --output json', 'one image, for a script'],
  ],
  details:
    'Hosts look for themselves, every readiness.checkInterval; this asks what they saw. What is too old counts as unknown, never as ready.',
  arguments: [{ name: '[image]', about: 'its name; default: all' }],
  prints: 'view',
  async run(cli, { args: [name] }) {
    const items = await statesOf(cli, name)
    await print(cli, items)
    return items.every(({ ready }) => ready) ? exitCodes.ok : exitCodes.failed
  },
})

export const status = command({
  name: 'status',
  summary: 'show images on their hosts: ready or not, why, and when they were checked',
  examples: [['cidery image status', 'like check, but the exit code is 0 whatever is shown']],
  arguments: [{ name: '[image]', about: 'its name; default: all' }],
  prints: 'view',
  async run(cli, { args: [name] }) {
    await print(cli, await statesOf(cli, name))
    return exitCodes.ok
  },
})
