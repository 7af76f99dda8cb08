import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime, sizeText } from '../../render/time.ts'
import { ageText, imageStatus, type ImageView, type Whole } from './fleet.ts'
import { localOptions, withHostImages, type LocalOptions } from './local.ts'

export const ls = command<LocalOptions>({
  name: 'ls',
  aliases: ['list'],
  summary: 'list images of the fleet with what jobs get, or the builds on this host',
  examples: [
    ['cidery image ls', 'each image: which build jobs get, how old it is, what is going on'],
    ['cidery image ls --local', 'builds that are whole on this host, where they came from and who uses them'],
  ],
  options: localOptions,
  prints: 'view',
  run: async (cli, { options }) => (options.local === true ? listHere(cli, options) : listFleet(cli)),
})

async function listFleet(cli: Cli): Promise<number> {
  const { items } = await (await openApi(cli)).get<Whole<ImageView>>('/images')
  await printList(cli, {
    items,
    name: ({ name }) => name,
    empty: 'the fleet manages no images; give one a recipe or a registry in cidery.yaml',
    columns: [
      { head: 'IMAGE', cell: ({ name }) => name },
      { head: 'ENGINE', cell: ({ engine }) => engine },
      { head: 'BUILD', cell: ({ promoted }) => promoted?.name ?? '-', shrink: true },
      { head: 'RECIPE', cell: ({ promoted }) => promoted?.recipeVersion ?? '-' },
      { head: 'BUILT', cell: ({ age }) => ageText(age) },
      { head: 'STATUS', cell: (image) => ({ text: imageStatus(image), tone: image.failure === null ? 'plain' : 'bad' }) },
      { head: 'WAITS FOR', cell: ({ waiting }) => waiting[0]?.message ?? '', shrink: true },
      { head: 'REFERENCE', cell: ({ promoted }) => promoted?.reference ?? '', wide: true },
    ],
  })
  return exitCodes.ok
}

async function listHere(cli: Cli, options: LocalOptions): Promise<number> {
  const { listImages } = await import('../../../main/host-images.ts')
  const items = await withHostImages(cli, { ...options, exclusive: false }, (host) => listImages(host))
  await printList(cli, {
    items,
    name: ({ id }) => id,
    empty: 'this host has no images; cidery image build or pull brings one',
    columns: [
      { head: 'ID', cell: ({ id }) => id },
      { head: 'IMAGE', cell: ({ metadata }) => metadata?.image ?? '-' },
      { head: 'RECIPE', cell: ({ metadata }) => metadata?.recipe?.version ?? '-' },
      { head: 'ENGINE', cell: ({ engine }) => engine },
      { head: 'SIZE', cell: ({ sizeBytes }) => sizeText(sizeBytes), align: 'right' },
      { head: 'BUILT', cell: ({ metadata, storedAt }) => relativeTime(metadata?.builtAt ?? storedAt, cli.clock.now()) },
      { head: 'USED BY', cell: ({ users }) => (users.length === 0 ? '' : String(users.length)), align: 'right' },
      { head: 'NAME', cell: ({ metadata }) => metadata?.name ?? '', wide: true },
      { head: 'REFERENCE', cell: ({ reference }) => reference ?? '', wide: true },
      { head: 'PROBLEM', cell: ({ problems }) => ({ text: problems.join('; '), tone: 'bad' }), shrink: true },
    ],
  })
  return exitCodes.ok
}
