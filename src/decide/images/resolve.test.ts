import { describe, expect, it } from 'vitest'
import type { ImageMetadata, StoredImage } from '../../model/image/stored.ts'
import { resolveImage, type ImageQuestion, type RemoteAnswer } from './resolve.ts'

const digest = (letter: string): string => `sha256:${letter.repeat(64)}`

function metadata(changes: Partial<ImageMetadata> & { readonly version?: string; readonly hash?: string } = {}): ImageMetadata {
  const { version = '3.6', hash = 'h1', ...rest } = changes
  return {
    build: 'bld_1',
    image: 'macos-13',
    name: 'bun-build-macos-13-1.2.14-bootstrap-3.6',
    engine: 'tart',
    recipe: { version, hash, layers: [] },
    base: { reference: 'ghcr.io/acme/base:latest', digest: digest('b') },
    productVersion: '1.2.14',
    guest: { os: 'macos', release: '13', arch: 'arm64' },
    builtAt: 1000,
    builtOn: 'mini-1',
    tools: [],
    labels: {},
    ...rest,
  }
}

function stored(id: string, of: ImageMetadata | null, changes: Partial<StoredImage> = {}): StoredImage {
  return {
    id,
    engine: 'tart',
    metadata: of,
    reference: null,
    sizeBytes: 1,
    storedAt: 0,
    lastUsedAt: 0,
    users: [],
    problems: [],
    ...changes,
  }
}

const there = (of: ImageMetadata | null, letter = 'c'): RemoteAnswer => ({
  kind: 'there',
  reference: `ghcr.io/acme/macos-13@${digest(letter)}`,
  digest: digest(letter),
  metadata: of,
})

const ask = (changes: Partial<ImageQuestion> = {}): ImageQuestion => ({
  wanted: { image: 'macos-13', recipeVersion: '3.6', recipeHash: null, baseDigest: null },
  local: [],
  remote: { kind: 'absent' },
  keptLayer: null,
  flags: { forceRefresh: false, forceRemote: false, noUpdate: false },
  ...changes,
})

describe('where an image comes from', () => {
  it('the version of a recipe is compared whole', () => {
    const local = [stored('bld_1', metadata({ version: '3.60' })), stored('bld_2', metadata({ image: 'macos-130' }))]
    expect(resolveImage(ask({ local }))).toMatchObject({ kind: 'buildNew', why: expect.stringContaining('recipe version 3.60') as string })
  })

  it('what the registry has is brought only when its digest is another, and it is not older', () => {
    const reference = `ghcr.io/acme/macos-13:x@${digest('c')}`
    const same = [stored('bld_1', metadata(), { reference })]
    expect(resolveImage(ask({ local: same, remote: there(metadata()) }))).toMatchObject({ kind: 'useLocal', build: 'bld_1' })
    const newer = there(metadata({ builtAt: 2000 }), 'd')
    expect(resolveImage(ask({ local: same, remote: newer }))).toMatchObject({ kind: 'useRemote', why: 'the registry has a newer one' })
    const older = there(metadata({ builtAt: 500 }), 'd')
    expect(resolveImage(ask({ local: same, remote: older }))).toMatchObject({ kind: 'useLocal' })
    expect(resolveImage(ask({ remote: older }))).toMatchObject({ kind: 'useRemote' })
  })

  it('a registry that lacks it, or is down, leaves what is on the host, with a warning', () => {
    const local = [stored('bld_1', metadata())]
    expect(resolveImage(ask({ local }))).toMatchObject({ kind: 'useLocal', warnings: ['the registry does not have it'] })
    const remote: RemoteAnswer = { kind: 'unreachable', reason: 'no answer' }
    expect(resolveImage(ask({ local, remote }))).toMatchObject({
      kind: 'useLocal',
      warnings: ['the registry could not be asked: no answer'],
    })
  })

  it('neither has it: a build, from the highest layer that is kept', () => {
    expect(resolveImage(ask())).toMatchObject({ kind: 'buildNew' })
    expect(resolveImage(ask({ keptLayer: 'tools' }))).toMatchObject({ kind: 'buildIncremental', layer: 'tools' })
    expect(resolveImage(ask({ remote: there(metadata({ version: '3.5' })) }))).toMatchObject({
      kind: 'buildNew',
      why: 'what the registry has is of another recipe, and this host has none of macos-13',
    })
  })

  it('a forced refresh builds from the base, whatever is there', () => {
    const flags = { forceRefresh: true, forceRemote: false, noUpdate: false }
    expect(resolveImage(ask({ local: [stored('bld_1', metadata())], remote: there(metadata()), keptLayer: 'tools', flags }))).toMatchObject(
      {
        kind: 'buildNew',
      },
    )
  })

  it('a forced look at the registry, and updates that are off', () => {
    const local = [stored('bld_1', metadata(), { reference: `ghcr.io/acme/macos-13@${digest('c')}` })]
    expect(
      resolveImage(ask({ local, remote: there(metadata()), flags: { forceRefresh: false, forceRemote: true, noUpdate: false } })),
    ).toMatchObject({
      kind: 'useRemote',
    })
    const flags = { forceRefresh: false, forceRemote: false, noUpdate: true }
    const old = [stored('bld_1', metadata({ version: '3.5' }))]
    expect(resolveImage(ask({ local: old, flags }))).toMatchObject({
      kind: 'useLocal',
      warnings: ['the registry does not have it', 'it is of recipe version 3.5, and updates are off'],
    })
  })

  it('a changed recipe makes every older image stale, whatever its version says', () => {
    const wanted = { image: 'macos-13', recipeVersion: '3.6', recipeHash: 'h2', baseDigest: null }
    expect(resolveImage(ask({ wanted, local: [stored('bld_1', metadata())] }))).toMatchObject({ kind: 'buildNew' })
    expect(resolveImage(ask({ wanted, local: [stored('bld_1', metadata({ hash: 'h2' }))] }))).toMatchObject({ kind: 'useLocal' })
  })

  it('so does another base', () => {
    const wanted = { image: 'macos-13', recipeVersion: null, recipeHash: 'h1', baseDigest: digest('e') }
    expect(resolveImage(ask({ wanted, local: [stored('bld_1', metadata())] }))).toMatchObject({ kind: 'buildNew' })
  })

  it('never takes an image that is not whole', () => {
    expect(resolveImage(ask({ local: [stored('bld_1', metadata(), { problems: ['disk.img is missing'] })] }))).toMatchObject({
      kind: 'buildNew',
    })
  })
})
