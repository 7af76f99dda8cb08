import type { Host, HostFacts } from '../../src/model/host.ts'
import type { ImageBuild } from '../../src/model/image/build.ts'
import { emptyLine, type HostImages, type ImageLine, type RecipeHead } from '../../src/model/image/line.ts'
import type { StoredImage } from '../../src/model/image/stored.ts'
import { hour } from '../../src/model/instant.ts'
import type { Spec } from '../../src/model/spec.ts'
import { idOf, makeEngine, makeFacts, makeHost, makeSpec, provenReady, start } from './build-world.ts'

export const registry = 'registry.test/acme/macos'

/** A spec with one managed line, `macos-15`, or others. */
export function imageSpec(policy: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Spec {
  return makeSpec({ images: { 'macos-15': linePolicy(policy) }, ...more })
}

export function linePolicy(policy: Record<string, unknown> = {}): Record<string, unknown> {
  return { engine: 'tart', recipe: 'macos-15.yaml', registry, ...policy }
}

export function makeRecipe(changes: Partial<RecipeHead> = {}): RecipeHead {
  return {
    generation: 1,
    version: '3.6',
    engine: 'tart',
    identity: 'identity-1',
    baseImage: null,
    baseFloats: false,
    shape: { cpu: 2, memoryMiB: 4096, diskMiB: 20_000 },
    timeout: 12 * hour,
    ...changes,
  }
}

export function makeLine(changes: Partial<ImageLine> = {}): ImageLine {
  return { ...emptyLine('macos-15'), generation: 1, recipe: makeRecipe(), ...changes }
}

/** A build that is promoted and in the registry, made an hour before the start. */
export function makeBuild(number: number, changes: Partial<ImageBuild> = {}): ImageBuild {
  const image = changes.image ?? 'macos-15'
  return {
    id: idOf('bld', number),
    image,
    name: `${image}-${number}`,
    engine: 'tart',
    state: 'promoted',
    reason: '',
    origin: { kind: 'built', hostId: idOf('host', 1), hostBootId: 'boot-1' },
    recipeGeneration: 1,
    fromBase: false,
    baseBuild: null,
    pushTo: null,
    timeoutMs: 12 * hour,
    cancelRequested: null,
    pinnedBy: null,
    identity: 'identity-1',
    recipeVersion: '3.6',
    reference: `${registry}@sha256:${String(number).padStart(64, '0')}`,
    metadata: null,
    sizeBytes: 1024 ** 3,
    phases: [],
    flakiness: null,
    requestedBy: 'cidery',
    createdAt: start - hour + number,
    endedAt: start - hour / 2,
    promotedAt: null,
    generation: 1,
    revision: 1,
    logBytes: 0,
    pushSkipped: '',
    ...changes,
  }
}

export function storedImage(id: string, changes: Partial<StoredImage> = {}): StoredImage {
  return {
    id,
    engine: 'tart',
    metadata: null,
    reference: null,
    sizeBytes: 1024 ** 3,
    storedAt: start - hour,
    lastUsedAt: start - hour,
    users: [],
    problems: [],
    ...changes,
  }
}

/** Facts of a Mac that has some builds, each proved ready. */
export function macFacts(builds: readonly string[], changes: Partial<HostFacts> = {}): HostFacts {
  return makeFacts({
    os: 'macos',
    arch: 'arm64',
    engines: [makeEngine('user'), makeEngine('tart')],
    images: [...builds],
    storedImages: builds.map((id) => storedImage(id)),
    readiness: [provenReady('user', null), ...builds.map((id) => provenReady('tart', id))],
    ...changes,
  })
}

export function makeMac(number: number, builds: readonly string[], changes: Partial<Host> = {}): Host {
  return makeHost(number, { facts: macFacts(builds, { hostname: `mini-${number}` }), ...changes })
}

/** What a host has to do with images: holds of builds that it keeps, and one that it fetches. */
export function makeHostImages(host: Host, keeps: readonly ImageBuild[], fetches: readonly ImageBuild[] = []): HostImages {
  const hold = (build: ImageBuild, fetch: boolean) => ({
    hostId: host.id,
    buildId: build.id,
    image: build.image,
    fetch,
    bandwidth: null,
    since: start - 1000,
    tries: 0,
  })
  return { holds: [...keeps.map((build) => hold(build, false)), ...fetches.map((build) => hold(build, true))], states: [] }
}
