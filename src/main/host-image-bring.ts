import type { ImageDecision } from '../decide/images/resolve.ts'
import type { PhaseProgress } from '../model/image/phase.ts'
import { parseImageReference } from '../model/image/reference.ts'
import type { FoundTool, StoredImage } from '../model/image/stored.ts'
import type { FlakinessVerdict } from '../model/image/validation.ts'
import { buildLocally, localRecipe, resolveLocal, type LocalRecipe } from './host-image-build.ts'
import { pullHere } from './host-image-verbs.ts'
import { findImage, imagePorts, type HostImages } from './host-images.ts'

export interface Bringing {
  readonly file: string
  readonly registry: string | null
  readonly force: boolean
  readonly forceRefresh: boolean
  readonly name: string | undefined
  readonly signal: AbortSignal
  readonly onPhases: (phases: readonly PhaseProgress[]) => void
  readonly onOutput: (bytes: Uint8Array) => void
}

export interface Brought {
  readonly decision: ImageDecision
  readonly image: StoredImage
  readonly tools: readonly FoundTool[]
  readonly flakiness: FlakinessVerdict | null
}

/** Gives this host the image of a recipe: what is here, what the registry has, or a build. */
export async function bringLocally(host: HostImages, bringing: Bringing): Promise<Brought> {
  const { signal, force, forceRefresh } = bringing
  const local = await localRecipe(host, bringing.file, bringing.registry)
  const flags = { forceRefresh, forceRemote: false, noUpdate: false }
  const decision = await resolveLocal(host, local, { flags, signal })
  if (decision.kind === 'useLocal' && !force) {
    const { image } = await findImage(host, decision.build)
    return { decision, image, tools: image.metadata?.tools ?? [], flakiness: null }
  }
  if (decision.kind === 'useRemote' && !force) {
    const wanted = { reference: decision.reference, id: undefined, engine: local.engine.name }
    const image = await pullHere(host, wanted, { signal, onProgress: ({ done, total }) => bringing.onPhases([pulling(done, total)]) })
    return { decision, image, tools: image.metadata?.tools ?? [], flakiness: null }
  }
  const asked: ImageDecision =
    force && !decision.kind.startsWith('build') ? { kind: 'buildNew', why: 'a build was asked for', warnings: [] } : decision
  const { image, tools, flakiness } = await buildLocally(host, local, {
    signal,
    fromBase: forceRefresh,
    name: bringing.name ?? nameOf(local),
    onPhases: bringing.onPhases,
    onOutput: bringing.onOutput,
  })
  return { decision: asked, image, tools, flakiness }
}

function pulling(done: number, total: number | null): PhaseProgress {
  return { phase: 'pull', attempt: 1, startedAt: imagePorts.clock.now(), endedAt: null, at: '', done, total, unit: 'bytes' }
}

/** Unique and sortable: `debian-12-2026-11-30-020000`. */
function nameOf({ recipe, registry }: LocalRecipe): string {
  const [day = '', time = ''] = new Date(imagePorts.clock.now()).toISOString().split(/[T.]/)
  const line = registry === null ? recipe.name : (parseImageReference(registry).repository.split('/').at(-1) ?? recipe.name)
  return `${line}-${day}-${time.replaceAll(':', '')}`
}
