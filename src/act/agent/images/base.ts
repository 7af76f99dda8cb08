import { CideryError } from '../../../model/errors.ts'
import type { Base } from '../../../model/image/base.ts'
import type { DesiredBuild } from '../../../model/image/build.ts'
import { formatImageReference, parseImageReference } from '../../../model/image/reference.ts'
import type { ImageEngine } from '../../../ports/images.ts'
import type { BuildRequest } from './build-request.ts'
import type { BuildLog } from './build-request.ts'
import type { BuildProgress } from './progress.ts'

export interface BaseWork {
  readonly engine: ImageEngine
  readonly progress: BuildProgress
  readonly log: BuildLog
  readonly signal: AbortSignal
}

/**
 * Brings what a recipe starts from to this host: only what is not there. An image of a registry is brought by the digest that the lock has, so that the same recipe gives
 * the same image on every host. INVALID_INPUT without a digest; NOT_FOUND when another image of the fleet is not on this host.
 */
export async function prepareBase(
  desired: Pick<DesiredBuild, 'recipe' | 'lock' | 'baseBuild'>,
  work: BaseWork,
): Promise<BuildRequest['base']> {
  const { base, machine } = desired.recipe
  work.progress.begin('pull', { unit: 'bytes' })
  switch (base.kind) {
    case 'oci':
      return pulledBase(base, desired.lock.base, work)
    case 'image': {
      const image = desired.baseBuild
      const there = (await work.engine.images.list()).some(({ id, problems }) => id === image && problems.length === 0)
      if (image !== null && there) return { image, reference: base.image, digest: null }
      throw new CideryError('NOT_FOUND', `the build ${image ?? 'of it'} that this image starts from, ${base.image}, is not on this host`)
    }
    case 'debian':
      return madeBase(
        `debian:${base.suite}`,
        { kind: 'debian', suite: base.suite, packages: [], diskMiB: Math.round(machine.disk / 1024 ** 2) },
        work,
      )
    case 'ipsw':
      return madeBase(base.source, { kind: 'ipsw', file: base.source, diskMiB: Math.round(machine.disk / 1024 ** 2) }, work)
  }
}

async function madeBase(
  reference: string,
  source: Parameters<ImageEngine['builder']['prepareBase']>[0],
  work: BaseWork,
): Promise<BuildRequest['base']> {
  const image = await work.engine.builder.prepareBase(source, { signal: work.signal, onLine: (line) => work.log.line(line) })
  return { image: image.id, reference, digest: null }
}

async function pulledBase(
  { reference: text }: Extract<Base, { kind: 'oci' }>,
  locked: string | null,
  work: BaseWork,
): Promise<BuildRequest['base']> {
  const reference = parseImageReference(text)
  const digest = reference.digest ?? locked
  if (digest === null) throw new CideryError('INVALID_INPUT', `the lock has no digest of the base ${text}`, { hint: 'cidery image lock' })
  const id = `base-${digest.slice('sha256:'.length, 'sha256:'.length + 20)}`
  const { engine, signal, progress, log } = work
  const known = (await engine.images.list()).find((image) => image.id === id && image.problems.length === 0)
  if (known === undefined) {
    log.line(`pulling ${formatImageReference({ ...reference, digest })}`)
    await engine.images.pull(id, { ...reference, digest }, { signal, onProgress: ({ done, total }) => progress.bytes(done, total) })
  }
  return { image: id, reference: text, digest }
}
