import type { z } from 'zod'
import type { BuildView, ImageView } from '../model/image-api.ts'
import type { ImageBuild } from '../model/image/build.ts'
import type { ImageLine } from '../model/image/line.ts'
import type { Image } from '../model/spec.ts'
import { waitingView } from './job-views.ts'
import type { Services } from './services.ts'

export function buildView(build: ImageBuild): z.infer<typeof BuildView> {
  const { origin, phases, cancelRequested, flakiness, ...rest } = build
  const { recipeGeneration: _, baseBuild: _base, pushTo: _push, timeoutMs: _timeout, revision: _revision, ...shown } = rest
  return {
    ...shown,
    hostId: origin.kind === 'built' ? origin.hostId : null,
    phases: [...phases],
    flakiness: flakiness === null ? null : { ...flakiness },
    cancelledBy: cancelRequested?.by ?? null,
  }
}

export interface LineParts {
  readonly line: ImageLine
  readonly policy: Image
  readonly builds: readonly ImageBuild[]
}

export function imageView(services: Services, { line, policy, builds }: LineParts): z.infer<typeof ImageView> {
  const find = (test: (build: ImageBuild) => boolean): z.infer<typeof BuildView> | null => {
    const build = builds.find(test)
    return build === undefined ? null : buildView(build)
  }
  const promoted = find(({ id }) => id === line.promoted)
  const builtAt = promoted?.metadata?.builtAt ?? promoted?.endedAt ?? null
  return {
    name: line.name,
    engine: policy.engine,
    generation: line.generation,
    recipe: recipeView(line),
    required: policy.required ?? null,
    promoted,
    lastGood: find(({ id }) => id === line.lastGood),
    underWay: find(({ state }) => state === 'building'),
    canary: canaryView(line),
    asked: line.asked === null ? null : { ...line.asked },
    failure: failureView(line),
    age: builtAt === null ? null : Math.max(0, services.clock.now() - builtAt),
    waiting: services
      .plan()
      .waiting.filter(({ subject }) => subject === `image/${line.name}`)
      .map(waitingView),
  }
}

function recipeView({ recipe }: ImageLine): z.infer<typeof ImageView>['recipe'] {
  if (recipe === null) return null
  const { generation, version, identity, baseImage } = recipe
  return { generation, version, identity, baseImage }
}

function canaryView({ canary }: ImageLine): z.infer<typeof ImageView>['canary'] {
  if (canary === null) return null
  const { buildId, startedAt, assigned, ended } = canary
  return { build: buildId, startedAt, assigned: { ...assigned }, ended: { canary: { ...ended.canary }, control: { ...ended.control } } }
}

function failureView({ failure }: ImageLine): z.infer<typeof ImageView>['failure'] {
  if (failure === null) return null
  const { count, at, reason, retry } = failure
  return { count, at, reason, retry }
}
