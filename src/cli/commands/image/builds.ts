import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printList } from '../../render/output.ts'
import { relativeTime, sizeText } from '../../render/time.ts'
import type { BuildView, Whole } from './fleet.ts'

export const builds = command({
  name: 'builds',
  summary: 'list the builds of an image, the newest first',
  examples: [['cidery image builds macos-15', 'candidate, validated, promoted, retired, failed: each with its reason']],
  arguments: [{ name: '<image>', about: 'its name' }],
  prints: 'view',
  async run(cli, { args: [name = ''] }) {
    const { items } = await (await openApi(cli)).get<Whole<BuildView>>(`/images/${encodeURIComponent(name)}/builds`)
    await printList(cli, {
      items,
      name: ({ id }) => id,
      empty: `there is no build of ${name} yet`,
      columns: [
        { head: 'BUILD', cell: (build) => build.name },
        {
          head: 'STATE',
          cell: ({ state }) => ({ text: state, tone: state === 'failed' ? 'bad' : state === 'promoted' ? 'good' : 'plain' }),
        },
        { head: 'PHASE', cell: ({ phases, state }) => (state === 'building' ? (phases.at(-1)?.phase ?? 'waiting') : '') },
        { head: 'RECIPE', cell: ({ recipeVersion }) => recipeVersion ?? '-' },
        { head: 'SIZE', cell: ({ sizeBytes }) => (sizeBytes === null ? '-' : sizeText(sizeBytes)), align: 'right' },
        { head: 'BEGUN', cell: ({ createdAt }) => relativeTime(createdAt, cli.clock.now()) },
        { head: 'REASON', cell: ({ reason }) => reason, shrink: true },
        { head: 'ID', cell: ({ id }) => id, wide: true },
        { head: 'REFERENCE', cell: ({ reference }) => reference ?? '', wide: true },
      ],
    })
    return exitCodes.ok
  },
})
