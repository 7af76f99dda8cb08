import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import type { BuildView, ImageView } from './fleet.ts'

export const promote = command({
  name: 'promote',
  summary: 'give a build to all jobs of an image; an older one rolls back to it',
  examples: [
    ['cidery image promote macos-15 bld_01k…', 'new jobs get it; running ones go on with what they have'],
    ['cidery image promote macos-15 macos-15-3.6-2026-11-30', 'by name'],
  ],
  arguments: [
    { name: '<image>', about: 'its name' },
    { name: '<build>', about: 'id or name; cidery image builds lists them' },
  ],
  prints: 'view',
  async run(cli, { args: [name = '', build = ''] }) {
    const api = await openApi(cli)
    const promoted = await api.call<BuildView>('POST', `/images/${encodeURIComponent(name)}/promote`, { body: { build }, repeatable: true })
    await printThing(cli, {
      value: promoted,
      name: promoted.id,
      text: () => `✓ jobs of ${name} get ${promoted.name} from now on\n`,
    })
    return exitCodes.ok
  },
})

export const rollback = command<{ readonly reason?: string }>({
  name: 'rollback',
  summary: 'end the canary of an image, or give jobs the build that they got before',
  examples: [['cidery image rollback macos-15 --reason "simulators crash"', 'the reason stands in the audit']],
  arguments: [{ name: '<image>', about: 'its name' }],
  options: [{ flags: '--reason <text>', about: 'why' }],
  prints: 'view',
  async run(cli, { args: [name = ''], options }) {
    const api = await openApi(cli)
    const body = { reason: options.reason ?? '' }
    const image = await api.call<ImageView>('POST', `/images/${encodeURIComponent(name)}/rollback`, { body })
    await printThing(cli, {
      value: image,
      name: image.name,
      text: () => `✓ jobs of ${name} get ${image.promoted?.name ?? 'no build'} from now on\n`,
    })
    return exitCodes.ok
  },
})
