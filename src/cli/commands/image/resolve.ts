import { resolve as pathOf } from 'node:path'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'
import { withShownPath } from './show.ts'

interface ResolveOptions extends LocalOptions {
  readonly registry?: string
  readonly forceRefresh?: boolean
  readonly forceRemoteRefresh?: boolean
  readonly disableAutoupdate?: boolean
  readonly localDev?: boolean
}

const words = { useLocal: 'use_local', useRemote: 'use_remote', buildIncremental: 'build_incremental', buildNew: 'build_new' } as const

export const resolve = command<ResolveOptions>({
  name: 'resolve',
  summary: 'say where this host would get the image of a recipe from, and why; nothing is changed',
  examples: [
    ['cidery image resolve images/debian-12.yaml --local', 'use_local, use_remote, build_incremental or build_new'],
    ['cidery image resolve macos-15.image.js --registry ghcr.io/acme/macos-15 --local --output json', 'asks the registry first'],
  ],
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [
    ...localOptions,
    { flags: '--registry <repository>', about: 'host/path that builds of it are in' },
    { flags: '--force-refresh', about: 'as if nothing were there: from the base' },
    { flags: '--force-remote-refresh', about: 'take what the registry has, whatever is here' },
    { flags: '--disable-autoupdate', about: 'take what is here although it is of another recipe' },
    { flags: '--local-dev', about: 'do not ask the registry' },
  ],
  prints: 'view',
  async run(cli, { args: [file = ''], options }) {
    requireLocal(options, 'cidery image resolve <recipe> --local')
    const { localRecipe, resolveLocal } = await import('../../../main/host-image-build.ts')
    const flags = {
      forceRefresh: options.forceRefresh === true,
      forceRemote: options.forceRemoteRefresh === true,
      noUpdate: options.disableAutoupdate === true,
    }
    const registry = options.localDev === true ? null : (options.registry ?? null)
    const decision = await withHostImages(cli, { ...options, exclusive: false }, async (host, signal) =>
      resolveLocal(host, await localRecipe(host, pathOf(cli.cwd, file), registry).catch(withShownPath(cli, file)), { flags, signal }),
    )
    const about =
      'build' in decision ? decision.build : 'reference' in decision ? decision.reference : 'layer' in decision ? decision.layer : ''
    await printThing(cli, {
      value: { ...decision, kind: words[decision.kind] },
      name: words[decision.kind],
      text: () =>
        renderFields(
          [
            ['decision', words[decision.kind]],
            [decision.kind === 'buildIncremental' ? 'from layer' : 'image', about],
            ['why', decision.why],
            ['warning', { text: decision.warnings.join('; '), tone: 'busy' }],
          ],
          cli.settings.color,
        ),
    })
    return exitCodes.ok
  },
})
