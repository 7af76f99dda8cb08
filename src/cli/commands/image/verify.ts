import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'

export const verify = command<LocalOptions>({
  name: 'verify',
  summary: 'read every byte of images of this host again, and prove them',
  examples: [
    ['cidery image verify --local', 'all of them; exit code 1 when one is not what it was'],
    ['cidery image verify bld_01k… --local', 'one'],
  ],
  arguments: [{ name: '[image...]', about: 'ids or names; default: all' }],
  options: localOptions,
  prints: 'view',
  async run(cli, { args, options }) {
    requireLocal(options, 'cidery image verify --local')
    const { verifyHere } = await import('../../../main/host-image-verbs.ts')
    const progress = makeProgress(cli)
    await progress.say('reading images')
    const items = await withHostImages(cli, { ...options, exclusive: false }, (host, signal) => verifyHere(host, args, signal))
    await progress.clear()
    await printList(cli, {
      items,
      name: ({ id }) => id,
      empty: 'this host has no images',
      columns: [
        { head: 'ID', cell: ({ id }) => id },
        {
          head: 'VERIFIED',
          cell: ({ faults }) => (faults.length === 0 ? { text: 'whole', tone: 'good' } : { text: 'not whole', tone: 'bad' }),
        },
        { head: 'FAULTS', cell: ({ faults }) => faults.join('; '), shrink: true },
      ],
    })
    return items.every(({ faults }) => faults.length === 0) ? exitCodes.ok : exitCodes.failed
  },
})
