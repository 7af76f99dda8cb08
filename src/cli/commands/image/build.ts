import { resolve as pathOf } from 'node:path'
import type { PhaseProgress } from '../../../model/image/phase.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sizeText } from '../../render/time.ts'
import { localOptions, requireLocal, withHostImages, type LocalOptions } from './local.ts'
import { withShownPath } from './show.ts'

interface BuildOptions extends LocalOptions {
  readonly registry?: string
  readonly forceRefresh?: boolean
  readonly force?: boolean
  readonly name?: string
  readonly follow?: boolean
}

export const build = command<BuildOptions>({
  name: 'build',
  summary: 'build an image by its recipe on this host, and prove it by a fresh boot',
  examples: [
    ['cidery image build images/debian-12.yaml --local', 'unless this host or the registry has it already'],
    ['cidery image build images/debian-12.yaml --local --force --follow', 'anyway, and show what the steps say'],
    ['cidery image build images/debian-12.yaml --local --force-refresh', 'from the base; the old build stays until this one passed'],
  ],
  details: 'Each try starts from a fresh clone. What fails leaves nothing but its log (cidery image logs).',
  arguments: [{ name: '<recipe>', about: '*.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [
    ...localOptions,
    { flags: '--registry <repository>', about: 'host/path to look first, and where it is not built when it is there' },
    { flags: '--force', about: 'build although it is there' },
    { flags: '--force-refresh', about: 'build from the base, without layers that are kept' },
    { flags: '--name <name>', about: 'of this build (default: the recipe, the day and the build)' },
    { flags: '-f, --follow', about: 'show what is said while it is built' },
  ],
  prints: 'view',
  async run(cli, { args: [file = ''], options }) {
    requireLocal(options, 'cidery image build <recipe> --local')
    const { bringLocally } = await import('../../../main/host-image-bring.ts')
    const progress = makeProgress(cli)
    const brought = await withHostImages(cli, { state: options.state, exclusive: true }, (host, signal) =>
      bringLocally(host, {
        file: pathOf(cli.cwd, file),
        registry: options.registry ?? null,
        force: options.force === true,
        forceRefresh: options.forceRefresh === true,
        name: options.name,
        signal,
        onPhases: (phases) => void progress.say(phaseText(phases)),
        onOutput: (bytes) => void (options.follow === true ? cli.stderr.write(bytes) : undefined),
      }),
    )
      .catch(withShownPath(cli, file))
      .finally(() => progress.clear())
    const { image, decision, tools } = brought
    await printThing(cli, {
      value: brought,
      name: image.id,
      text: () =>
        renderFields(
          [
            ['image', image.id],
            ['name', image.metadata?.name ?? ''],
            ['decision', `${decision.kind}: ${decision.why}`],
            ['size', sizeText(image.sizeBytes)],
            ['tools', tools.map(({ name, version }) => `${name} ${version}`).join(', ')],
            ['reference', image.reference ?? ''],
          ],
          cli.settings.color,
        ),
    })
    return exitCodes.ok
  },
})

/** `bootstrap 3/7: tools: ninja and jq`. */
function phaseText(phases: readonly PhaseProgress[]): string {
  const now = phases.at(-1)
  if (now === undefined) return 'building'
  const count =
    now.total === null ? '' : now.unit === 'bytes' ? ` ${sizeText(now.done)} of ${sizeText(now.total)}` : ` ${now.done}/${now.total}`
  const attempt = now.attempt === 1 ? '' : ` (try ${now.attempt})`
  return `${now.phase}${count}${attempt}${now.at === '' ? '' : `: ${now.at}`}`
}
