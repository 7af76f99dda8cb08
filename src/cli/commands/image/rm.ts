import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'

export const rm = command<LocalOptions>({
  name: 'rm',
  summary: 'remove images from this host; one that is in use stays',
  examples: [['cidery image rm bld_01k… --local', 'the registry keeps what it has']],
  arguments: [{ name: '<image...>', about: 'ids or names' }],
  options: localOptions,
  prints: 'view',
  async run(cli, { args, options }) {
    requireLocal(options, 'cidery image rm <image> --local')
    const { removeHere } = await import('../../../main/host-image-verbs.ts')
    const removed = await withHostImages(cli, { ...options, exclusive: true }, (host) => removeHere(host, args))
    await printList(cli, {
      items: removed.map((id) => ({ id })),
      name: ({ id }) => id,
      empty: 'nothing was removed',
      columns: [{ head: 'REMOVED', cell: ({ id }) => id }],
    })
    return exitCodes.ok
  },
})
