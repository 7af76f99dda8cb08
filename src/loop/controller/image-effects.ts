import type { Effects } from '../../act/carry-out.ts'
import { buildName } from '../../model/image/build-name.ts'
import type { ImageStep } from '../../model/plan.ts'
import type { Image, Spec } from '../../model/spec.ts'
import type { Ids } from '../../ports/random.ts'
import { endBuild, startBuild, type BuildStart } from '../../record/builds.ts'
import type { Applied, RecordTx } from '../../record/commit.ts'
import { dropHold, holdBuild } from '../../record/image-holds.ts'
import { promoteByStep, rollBackCanary, startCanary } from '../../record/image-promotion.ts'
import { expireForced, noteReady, removeBuildByStep, skipBuild } from '../../record/image-states.ts'

export interface ImageEffectOptions {
  readonly write: (work: (tx: RecordTx) => Promise<Applied>) => Promise<Applied>
  readonly ids: Ids
  readonly spec: () => Spec
}

/** What the leader's steps do to images. */
export function imageEffects({ write, ids, spec }: ImageEffectOptions): Pick<Effects, ImageStep['kind']> {
  return {
    startBuild: (step) => {
      const id = ids.next('bld')
      const policy = spec().images[step.image]
      if (policy === undefined) return Promise.resolve('stale')
      return write((tx) =>
        startBuild(tx, {
          ...step,
          id,
          timeoutMs: policy.buildTimeout ?? null,
          naming: namingOf(policy, { image: step.image, id, at: tx.now }),
        }),
      )
    },
    endBuild: (step) => write((tx) => endBuild(tx, step)),
    skipBuild: (step) => write((tx) => skipBuild(tx, step)),
    holdBuild: (step) => write((tx) => holdBuild(tx, step)),
    dropHold: (step) => write((tx) => dropHold(tx, step)),
    promoteBuild: (step) => write((tx) => promoteByStep(tx, step)),
    startCanary: (step) => write((tx) => startCanary(tx, step)),
    rollBackCanary: (step) => write((tx) => rollBackCanary(tx, step)),
    noteReady: (step) => write((tx) => noteReady(tx, step)),
    expireForced: (step) => write((tx) => expireForced(tx, step)),
    removeBuild: (step) => write((tx) => removeBuildByStep(tx, step)),
  }
}

function namingOf(
  policy: Image,
  { image, id, at }: { readonly image: string; readonly id: string; readonly at: number },
): BuildStart['naming'] {
  return ({ version, release, arch, product }) => {
    const values = { recipe: version, release, arch, ...(product === null ? {} : { version: product }) }
    const name = buildName(image, policy.name, { id, at, values })
    return { name, pushTo: policy.registry === undefined ? null : { repository: policy.registry, tags: ['latest'] } }
  }
}
