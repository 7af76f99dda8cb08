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
  const find = (id: string | null): z.infer<typeof BuildView> | null => {
    const build = builds.find((known) => known.id === id)
    return build === undefined ? null : buildView(build)
  }
  const promoted = find(line.promoted)
  const { recipe, canary, failure } = line
  const builtAt = promoted?.metadata?.builtAt ?? promoted?.endedAt ?? null
  return {
    name: line.name,
    engine: policy.engine,
    generation: line.generation,
    recipe:
      recipe === null
        ? null
        : { generation: recipe.generation, version: recipe.version, identity: recipe.identity, baseImage: recipe.baseImage },
    required: policy.required ?? null,
    promoted,
    lastGood: find(line.lastGood),
    underWay: find(builds.find(({ state }) => state === 'building')?.id ?? null),
    canary:
      canary === null
        ? null
        : {
            build: canary.buildId,
            startedAt: canary.startedAt,
            assigned: { ...canary.assigned },
            ended: { canary: { ...canary.ended.canary }, control: { ...canary.ended.control } },
          },
    asked: line.asked === null ? null : { ...line.asked },
    failure: failure === null ? null : { count: failure.count, at: failure.at, reason: failure.reason, retry: failure.retry },
    age: builtAt === null ? null : Math.max(0, services.clock.now() - builtAt),
    waiting: services
      .plan()
      .waiting.filter(({ subject }) => subject === `image/${line.name}`)
      .map(waitingView),
  }
}
