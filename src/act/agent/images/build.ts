import { CideryError } from '../../../model/errors.ts'
import type { FoundTool, ImageMetadata } from '../../../model/image/stored.ts'
import { withDeadline } from '../deadline.ts'
import { messageOf } from '../outcome.ts'
import type { Build, Built } from './build-request.ts'
import { makeBuild } from './make.ts'
import { proveBuild } from './prove.ts'

/**
 * Builds an image by its recipe, proves that it boots and holds what it should, and leaves it on this host. What fails is tried again from a fresh clone, as
 * often as the recipe says; after that nothing of it is left but its log. UNAVAILABLE `build_failed: timeout` when all of it takes longer than it may.
 */
export async function buildImage(build: Build): Promise<Built> {
  const control = new AbortController()
  const signal = AbortSignal.any([build.signal, control.signal])
  const { recipe } = build.request
  const work = tryBuild({ ...build, signal })
  try {
    return await withDeadline(build.ports.timers, work, {
      ms: recipe.timeouts.build,
      what: 'build_failed: timeout: the build',
      signal: build.signal,
    })
  } catch (error) {
    control.abort(error)
    // What is under way cleans up after itself, and is waited for: its machine has to be gone before the next one starts.
    await work.catch(() => undefined)
    throw error
  } finally {
    build.progress.end()
  }
}

async function tryBuild(build: Build): Promise<Built> {
  const { recipe } = build.request
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryOnce(build)
    } catch (error) {
      build.log.line(`try ${attempt} of ${recipe.tries} failed: ${messageOf(error)}`)
      build.signal.throwIfAborted()
      if (attempt >= recipe.tries || isHopeless(error)) throw error
      build.progress.nextAttempt()
    }
  }
}

/** What another try would meet again. */
export function isHopeless(error: unknown): boolean {
  return error instanceof CideryError && ['INVALID_INPUT', 'UNSUPPORTED', 'FORBIDDEN', 'NOT_FOUND', 'STORAGE_FULL'].includes(error.code)
}

async function tryOnce(build: Build): Promise<Built> {
  const { engine, log } = build
  const made = await makeBuild(build, metadataOf)
  try {
    const flakiness = await proveBuild(build, made.image)
    return { ...made, flakiness }
  } catch (error) {
    // Nobody may start from what did not pass.
    await engine.images.remove(made.image.id).catch((cause: unknown) => log.line(`the build could not be removed: ${messageOf(cause)}`))
    throw error
  }
}

function metadataOf({ request, ports }: Build, tools: readonly FoundTool[]): ImageMetadata {
  const { recipe, identity, base } = request
  return {
    build: request.id,
    image: recipe.name,
    name: request.name,
    engine: recipe.engine,
    recipe: { version: recipe.version, hash: identity.recipe, layers: identity.layers.map((layer) => layer.identity) },
    base: { reference: base.reference, digest: base.digest },
    productVersion: request.productVersion,
    guest: { os: recipe.guest.os, release: recipe.guest.release, arch: recipe.engine === 'tart' ? 'arm64' : 'x64' },
    builtAt: ports.clock.now(),
    builtOn: request.hostName,
    tools: [...tools],
    labels: recipe.labels,
  }
}
