import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sizeText } from '../../render/time.ts'
import { sizeOption } from '../../values.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'
import { transferText } from './transfer-text.ts'

interface PullOptions extends LocalOptions {
  readonly id?: string
  readonly bandwidth?: string
}

export const pull = command<PullOptions>({
  name: 'pull',
  summary: 'bring an image from a registry to this host, and prove every byte of it',
  examples: [
    ['cidery image pull ghcr.io/acme/macos-15:latest --local', 'goes on where an earlier pull was cut'],
    ['cidery image pull ghcr.io/acme/macos-15@sha256:… --local', 'exactly this one'],
  ],
  details: 'A tag is taken as what it leads to now. Nothing is there to be used before all of it was proved against its digest.',
  arguments: [{ name: '<reference>', about: 'host/path:tag or host/path@sha256:…' }],
  options: [
    ...localOptions,
    { flags: '--id <id>', about: 'its name on this host (default: what it says of itself)' },
    { flags: '--bandwidth <size>', about: 'bytes per second at most, such as 20MiB' },
  ],
  prints: 'view',
  async run(cli, { args: [reference = ''], options }) {
    requireLocal(options, 'cidery image pull <reference> --local')
    const { pullHere } = await import('../../../main/host-image-verbs.ts')
    const progress = makeProgress(cli)
    const bandwidth = sizeOption('--bandwidth', options.bandwidth)
    const wanted = { reference, id: options.id, engine: options.engine }
    const image = await withHostImages(cli, { ...options, exclusive: true }, (host, signal) =>
      pullHere(host, wanted, {
        signal,
        onProgress: (transferred) => void progress.say(transferText('pulling', transferred)),
        ...(bandwidth === undefined ? {} : { bandwidth }),
      }),
    ).finally(() => progress.clear())
    await printThing(cli, {
      value: image,
      name: image.id,
      text: () => `✓ ${image.id} is on this host and proved: ${image.reference ?? ''} (${sizeText(image.sizeBytes)})\n`,
    })
    return exitCodes.ok
  },
})
