import { keptLayers } from '../../../model/image/recipe-identity.ts'
import type { FoundTool, ImageMetadata, StoredImage } from '../../../model/image/stored.ts'
import { minute } from '../../../model/instant.ts'
import type { BuilderBase } from '../../../ports/engine.ts'
import type { Build } from './build-request.ts'
import { checkRelease, validate, validationSteps } from './checks.ts'
import { mustRun, type Guest } from './command.ts'
import { cleanupScript, settingsScript } from './guest-scripts.ts'
import { bootGuest, shutGuestDown, withGuest } from './guest.ts'
import { runStep } from './steps.ts'

/** Setting up and cleaning take seconds on any machine that works. */
const finishLimit = 15 * minute

/** Makes a build: clone, boot, the steps of each layer that is not kept, checks, a clean end, and the seal. Nothing of its machine is left. */
export async function makeBuild(
  build: Build,
  metadataOf: (build: Build, tools: readonly FoundTool[]) => ImageMetadata,
): Promise<{ readonly image: StoredImage; readonly tools: readonly FoundTool[] }> {
  const { engine, request, progress, log } = build
  const { recipe, identity } = request
  progress.begin('clone')
  const kept = request.fromBase ? 0 : keptLayers(identity, new Set((await engine.builder.layers()).map(({ key }) => key)))
  const below = identity.layers[kept - 1]
  const builder: BuilderBase = below === undefined ? { image: request.base.image } : { layer: below.identity }
  log.line(below === undefined ? `starts from ${request.base.reference}` : `starts from the layer ${below.name}, which is kept`)
  return withGuest(build, { from: { image: null, builder }, network: request.network }, async (guest) => {
    // Before hours are put into a base that is another one.
    await checkRelease(guest, recipe)
    progress.begin('bootstrap', { total: recipe.layers.slice(kept).reduce((sum, { steps }) => sum + steps.length, 0) })
    await runLayers(build, guest, kept)
    progress.begin('validate', { total: validationSteps(recipe) })
    await finish(build, guest)
    const tools = await validate(guest, recipe, (name) => {
      progress.at(name)
      progress.stepDone()
    })
    progress.begin('seal')
    await shutGuestDown(build, guest.id)
    const image = await engine.builder.seal(guest.id, metadataOf(build, tools))
    log.line(`sealed as ${image.id}`)
    return { image, tools }
  })
}

/** Runs the steps of the layers from `first` on. The disk below the highest one is kept: builds that change only that start there. */
async function runLayers(build: Build, guest: Guest, first: number): Promise<void> {
  const { engine, request, progress } = build
  const { layers } = request.recipe
  const restart = async (): Promise<void> => {
    await shutGuestDown(build, guest.id)
    await bootGuest(build, guest.id)
  }
  for (const [index, layer] of layers.entries()) {
    if (index < first) continue
    for (const step of layer.steps) {
      progress.at(layers.length === 1 ? step.name : `${layer.name}: ${step.name}`)
      await runStep({ build, guest, restart }, step)
      progress.stepDone()
    }
    const key = request.identity.layers[index]?.identity
    if (index === layers.length - 1 || key === undefined) continue
    await shutGuestDown(build, guest.id)
    await engine.builder.keepLayer(guest.id, key)
    await bootGuest(build, guest.id)
  }
}

/** What every image of a line has at the end, whatever its layers did. */
async function finish({ request }: Build, guest: Guest): Promise<void> {
  const { guest: about, settings, cleanup, name } = request.recipe
  const limits = { asRoot: true, limitMs: finishLimit }
  await mustRun(guest, { ...limits, script: settingsScript(about, settings, name), what: 'setting the guest up' })
  await mustRun(guest, { ...limits, script: cleanupScript(about, cleanup), words: [guest.home], what: 'cleaning the guest up' })
}
