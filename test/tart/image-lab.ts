import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pushTartImage } from '../../src/drivers/engines/tart/oci/push.ts'
import type { TartEngineSettings } from '../../src/drivers/engines/tart/settings.ts'
import type { ImageReference } from '../../src/model/image/reference.ts'
import type { ImageMetadata } from '../../src/model/image/stored.ts'
import { testClient } from '../doubles/registry/client.ts'
import { makeGoldenImage, type GoldenImage } from '../doubles/tart/golden-image.ts'
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
