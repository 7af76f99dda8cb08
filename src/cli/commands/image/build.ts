import { resolve as pathOf } from 'node:path'
import { percentOf, type PhaseProgress } from '../../../model/image/phase.ts'
import type { Cli } from '../../cli.ts'
import { openApi } from '../../client/api.ts'
import { command, exitCodes } from '../../declare.ts'
import { printThing, renderFields } from '../../render/output.ts'
import { makeProgress } from '../../render/progress.ts'
import { sizeText } from '../../render/time.ts'
import type { BuildView, ImageView, Whole } from './fleet.ts'
import { interruptOf, localOptions, withHostImages, type LocalOptions } from './local.ts'
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
  summary: 'build an image of the fleet anew, or one on this host by its recipe',
  examples: [
    ['cidery image build macos-15', 'on a host with room; what jobs get stays until the new build is promoted'],
    ['cidery image build macos-15 --force-refresh --follow', 'from its base; wait, and show how far it is'],
    ['cidery image build images/debian-12.yaml --local', 'here, unless this host or the registry has it already'],
    ['cidery image build images/debian-12.yaml --local --force --follow', 'anyway, and show what the steps say'],
  ],
  details:
    'Each try starts from a fresh clone, and what was built is proved by a fresh boot. What fails leaves nothing but its log (cidery image logs).',
  arguments: [{ name: '<image>', about: 'name of the image; with --local a recipe: *.yaml, *.image.ts or *.image.js', completes: 'file' }],
  options: [
    ...localOptions,
    { flags: '--registry <repository>', about: 'host/path to look first, and where it is not built when it is there; with --local' },
    { flags: '--force', about: 'build although it is there; a fleet always does' },
    { flags: '--force-refresh', about: 'build from the base, without layers that are kept' },
    { flags: '--name <name>', about: 'of this build (default: the recipe, the day and the build); with --local' },
    { flags: '-f, --follow', about: 'wait for its end and show how far it is; exit code 1 when it failed' },
  ],
  prints: 'view',
  run: (cli, { args: [what = ''], options }) => (options.local === true ? buildHere(cli, what, options) : buildInFleet(cli, what, options)),
})

async function buildInFleet(cli: Cli, name: string, options: BuildOptions): Promise<number> {
  const api = await openApi(cli)
  const path = `/images/${encodeURIComponent(name)}`
  const before = new Set((await api.get<Whole<BuildView>>(`${path}/builds`)).items.map(({ id }) => id))
  const image = await api.call<ImageView>('POST', `${path}/build`, { body: { fromBase: options.forceRefresh === true } })
  if (options.follow !== true) {
    await printThing(cli, { value: image, name, text: () => `✓ a build of ${name} is asked for; cidery image builds ${name} shows it\n` })
    return exitCodes.ok
  }
  const progress = makeProgress(cli)
  const interrupt = interruptOf(cli)
  try {
    for (;;) {
      const made = (await api.get<Whole<BuildView>>(`${path}/builds`)).items.find(({ id }) => !before.has(id))
      if (made !== undefined && made.state !== 'building') return await printBuilt(cli, made, () => progress.clear())
      const { waiting } = await api.get<ImageView>(path)
      await progress.say(made === undefined ? (waiting[0]?.message ?? 'waiting for a host') : phaseText(made.phases))
      await cli.timers.sleep(lookEvery, interrupt.signal)
    }
  } finally {
    interrupt.stop()
    await progress.clear()
  }
}

const lookEvery = 2000

async function printBuilt(cli: Cli, made: BuildView, clear: () => Promise<void>): Promise<number> {
  await clear()
  await printThing(cli, {
    value: made,
    name: made.id,
    text: () =>
      renderFields(
        [
          ['build', made.name],
          ['id', made.id],
          ['state', { text: made.state, tone: made.state === 'failed' ? 'bad' : 'good' }],
          ['reason', made.reason],
          ['size', made.sizeBytes === null ? '' : sizeText(made.sizeBytes)],
          ['reference', made.reference ?? ''],
          ['not pushed', made.pushSkipped],
        ],
        cli.settings.color,
      ),
  })
  return made.state === 'failed' ? exitCodes.failed : exitCodes.ok
}

async function buildHere(cli: Cli, file: string, options: BuildOptions): Promise<number> {
  const { bringLocally } = await import('../../../main/host-image-bring.ts')
  const progress = makeProgress(cli)
  const brought = await withHostImages(cli, { ...options, exclusive: true }, (host, signal) =>
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
}

/** `bootstrap 3/7: tools: ninja and jq`. */
function phaseText(phases: readonly PhaseProgress[]): string {
  const now = phases.at(-1)
  if (now === undefined) return 'building'
  const attempt = now.attempt === 1 ? '' : ` (try ${now.attempt})`
  return `${now.phase}${countText(now)}${attempt}${now.at === '' ? '' : `: ${now.at}`}`
}

function countText(now: PhaseProgress): string {
  if (now.total === null) return ''
  if (now.unit === 'steps') return ` ${now.done}/${now.total}`
  return ` ${sizeText(now.done)} of ${sizeText(now.total)} (${percentOf(now) ?? 0} %)`
}
