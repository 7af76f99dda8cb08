import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareBase } from '../../src/act/agent/images/base.ts'
import { pushTartImage } from '../../src/drivers/engines/tart/oci/push.ts'
import type { TartEngineSettings } from '../../src/drivers/engines/tart/settings.ts'
import type { RecipeInput } from '../../src/model/image/recipe.ts'
import { formatImageReference, type ImageReference } from '../../src/model/image/reference.ts'
import type { ImageMetadata } from '../../src/model/image/stored.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { testClient } from '../doubles/registry/client.ts'
import { makeGoldenImage, type GoldenImage } from '../doubles/tart/golden-image.ts'
import { buildOf, type SeenBuild } from '../vm/image-lab.ts'
import { settingsFor } from './engine-lab.ts'
import { TartLab } from './lab.ts'

/** A disk of 64 MB in pieces of 4 MiB: enough of them, and read in a moment. */
export const pieceBytes = 4 * 1024 ** 2
const diskBytes = 64_000_000

export type Pinned = ImageReference & { readonly digest: string }

/** Makes a golden image and pushes it to a registry, as somebody did long ago; gives where it is. */
export async function pushGolden(
  registry: string,
  repository: string,
  image: Omit<GoldenImage, 'folder'> = { os: 'darwin' },
): Promise<Pinned> {
  const folder = mkdtempSync(join(tmpdir(), 'cidery-golden-'))
  const client = testClient()
  try {
    makeGoldenImage({ diskBytes, folder, ...image })
    const { digest } = await pushTartImage(
      folder,
      { registry: client, where: { registry, repository } },
      {
        signal: new AbortController().signal,
        uploadTime: '2026-11-30T00:00:00Z',
        rangeBytes: pieceBytes,
        scratch: folder,
        tags: ['latest'],
      },
    )
    return { registry, repository, tag: null, digest }
  } finally {
    client.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A Mac that knows no image but those of registries. */
export function imageLab(changes: Partial<Omit<TartEngineSettings, 'log'>> = {}): {
  readonly lab: TartLab
  readonly settings: ReturnType<typeof settingsFor>
} {
  const lab = new TartLab({ golden: false })
  return { lab, settings: settingsFor(lab, { images: {}, registry: testClient(), pieceBytes, ...changes }) }
}

export function metadataOf(build: string, changes: Partial<ImageMetadata> = {}): ImageMetadata {
  return {
    build,
    image: 'macos-15',
    name: `macos-15-${build}`,
    engine: 'tart',
    recipe: null,
    base: null,
    productVersion: null,
    guest: { os: 'macos', release: '15', arch: 'arm64' },
    builtAt: Date.UTC(2026, 11, 1),
    builtOn: 'mac-1',
    tools: [],
    labels: {},
    ...changes,
  }
}

export const { signal } = new AbortController()

export const macLayers = [
  {
    name: 'system',
    steps: [
      { name: 'program', shell: { file: 'install.sh' }, as: 'root' },
      { name: 'folder', copy: { from: 'folder', to: '/opt/folder', mode: '0755' } },
      { name: 'again', reboot: {} },
      { name: 'after', shell: 'test -e /opt/by-perl\nsw_vers > /opt/after', as: 'root' },
    ],
  },
  {
    name: 'tools',
    steps: [
      { name: 'greeting', copy: { from: 'greeting', to: '/usr/local/bin/greeting', mode: '0755' } },
      { name: 'as the user', shell: 'id -un; echo mine > ~/mine' },
    ],
  },
] as const satisfies RecipeInput['layers']

/** A recipe for the macOS of the double, in two layers. */
export const macRecipe: RecipeInput = {
  name: 'macos-15',
  version: '3.6',
  engine: 'tart',
  base: { oci: 'ghcr.io/acme/macos:latest' },
  guest: { os: 'macos', release: '15' },
  machine: { cpu: 2, memory: '2GiB', disk: '32MiB' },
  layers: [...macLayers],
  tools: [
    { name: 'tool', version: '2.3.4', check: '/opt/folder/deep/tool' },
    { name: 'xcode', version: '>=26 <27', check: 'xcodebuild -version' },
  ],
  validation: { checks: [{ name: 'greeting', run: 'greeting', contains: 'hello from the image' }] },
  flakiness: { rounds: 2 },
  timeouts: { boot: '2m' },
  tries: 1,
}

/** A build of a recipe from an image that is pinned, as an agent makes it: the base is brought first, where it is not there. */
export async function macBuild(
  id: string,
  {
    engine,
    recipe = macRecipe,
    base,
    onPhases,
  }: { readonly engine: ImageEngine; readonly recipe?: RecipeInput; readonly base: Pinned } & Pick<
    Parameters<typeof buildOf>[1],
    'onPhases'
  >,
): Promise<SeenBuild> {
  const oci = formatImageReference({ ...base, tag: 'latest', digest: null })
  const build = buildOf(id, { engine, recipe: { ...recipe, base: { oci } }, ...(onPhases === undefined ? {} : { onPhases }) })
  const { progress, log } = build
  const lock = { base: base.digest, files: {}, downloads: {}, packages: {}, lockedAt: 0 } as never
  const prepared = await prepareBase({ recipe: build.request.recipe, lock, baseBuild: null }, { engine, progress, log, signal })
  return { ...build, request: { ...build.request, base: prepared, network: 'nat' } }
}
