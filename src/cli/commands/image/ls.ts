import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime, sizeText } from '../../render/time.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'

export const ls = command<LocalOptions>({
  name: 'ls',
  summary: 'list the images of this host',
  examples: [
    ['cidery image ls --local', 'builds that are whole here, where they came from and who uses them'],
    ['cidery image ls --local --output json', 'with tools, base and recipe of each'],
  ],
  options: localOptions,
  prints: 'view',
  async run(cli, { options }) {
    requireLocal(options, 'cidery image ls --local')
    const { listImages } = await import('../../../main/host-images.ts')
    const items = await withHostImages(cli, { state: options.state, exclusive: false }, (host) => listImages(host))
    await printList(cli, {
      items: items.filter(({ engine }) => options.engine === undefined || engine === options.engine),
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
  },
})
