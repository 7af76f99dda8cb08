import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { sizeText } from '../../render/time.ts'
import { integerOption, durationOption, sizeOption } from '../../values.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'

interface GcOptions extends LocalOptions {
  readonly dryRun?: boolean
  readonly age?: string
  readonly count?: string
  readonly budget?: string
  readonly freeFloor?: string
}

const day = 24 * 3_600_000

export const gc = command<GcOptions>({
  name: 'gc',
  summary: 'remove images and layers of this host that nothing needs; say what and why',
  examples: [
    ['cidery image gc --local --dry-run', 'what would go and what stays, each with its reason'],
    ['cidery image gc --local --age 3d --count 2', 'older than three days, but the two newest of each line'],
    ['cidery image gc --local --free-floor 50GiB', 'until 50 GiB are free'],
  ],
  details:
    'Never: an image that a sandbox or layer stands on, and the newest whole build of a line. First what is not whole, then what is old, then, when room is short, what was used longest ago; layers before images.',
  options: [
    ...localOptions,
    { flags: '--dry-run', about: 'remove nothing' },
    { flags: '--age <duration>', about: 'unused for longer than this (default: 7d)' },
    { flags: '--count <n>', about: 'the newest of a line that stay (default: 3)' },
    { flags: '--budget <size>', about: 'what images may take' },
    { flags: '--free-floor <size>', about: 'what must be free (default: 20GiB)' },
  ],
  prints: 'view',
  async run(cli, { options }) {
    requireLocal(options, 'cidery image gc --local --dry-run')
    const { collectHere } = await import('../../../main/host-image-verbs.ts')
    const dryRun = options.dryRun === true
    const retention = {
      age: durationOption('--age', options.age) ?? 7 * day,
      count: integerOption('--count', options.count) ?? 3,
      budgetBytes: sizeOption('--budget', options.budget) ?? null,
      freeFloorBytes: sizeOption('--free-floor', options.freeFloor) ?? 20 * 1024 ** 3,
    }
    const collected = await withHostImages(cli, { ...options, exclusive: !dryRun }, (host) => collectHere(host, retention, { dryRun }))
    const goes = collected.flatMap(({ engine, remove }) => remove.map((each) => ({ engine, does: dryRun ? 'goes' : 'gone', ...each })))
    const stays = collected.flatMap(({ engine, keep }) => keep.map((each) => ({ engine, does: 'stays', sizeBytes: null, ...each })))
    await printList(cli, {
      items: [...goes, ...stays],
      name: ({ id }) => id,
      empty: 'this host has no images',
      columns: [
        { head: 'ID', cell: ({ id }) => id },
        { head: 'ENGINE', cell: ({ engine }) => engine },
        { head: 'WHAT', cell: ({ does }) => ({ text: does, tone: does === 'stays' ? 'plain' : 'busy' }) },
        { head: 'SIZE', cell: ({ sizeBytes }) => (sizeBytes === null ? '' : sizeText(sizeBytes)), align: 'right' },
        { head: 'WHY', cell: ({ reason }) => reason, shrink: true },
      ],
    })
    const short = Math.max(0, ...collected.map(({ shortBytes }) => shortBytes))
    if (short > 0 && !cli.settings.quiet) await cli.stderr.write(`! ${sizeText(short)} are still missing, and nothing more may go\n`)
    return short > 0 ? exitCodes.failed : exitCodes.ok
  },
})
