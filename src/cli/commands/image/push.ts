import { command, exitCodes } from '../../declare.ts'
import { printThing } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sizeText } from '../../render/time.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'
import { transferText } from './transfer-text.ts'

export const push = command<LocalOptions>({
  name: 'push',
  summary: 'send an image of this host to a registry; what is there is not sent again',
  examples: [
    ['cidery image push bld_01k… ghcr.io/acme/macos-15 --local', 'under its own name, and then as latest'],
    ['cidery image push bld_01k… ghcr.io/acme/macos-15:try --local', 'under this tag alone'],
  ],
  arguments: [
    { name: '<image>', about: 'id or name' },
    { name: '<repository>', about: 'host/path, or host/path:tag' },
  ],
  options: localOptions,
  prints: 'view',
  async run(cli, { args: [image = '', to = ''], options }) {
    requireLocal(options, 'cidery image push <image> <repository> --local')
    const { pushHere } = await import('../../../main/host-image-verbs.ts')
    const progress = makeProgress(cli)
    const pushed = await withHostImages(cli, { ...options, exclusive: true }, (host, signal) =>
      pushHere(host, { image, to }, { signal, onProgress: (transferred) => void progress.say(transferText('pushing', transferred)) }),
    ).finally(() => progress.clear())
    const failed = pushed.failedTags.map(({ tag, reason }) => `! the tag ${tag} was not moved: ${reason}\n`).join('')
    await printThing(cli, {
      value: pushed,
      name: pushed.digest,
      text: () => `✓ ${to}@${pushed.digest}: ${sizeText(pushed.sentBytes)} sent, ${sizeText(pushed.reusedBytes)} were there\n${failed}`,
    })
    return exitCodes.ok
  },
})
