import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emptyLock, ingredientsOf, lockProblems, RecipeLock } from './lock.ts'
import { Recipe } from './recipe.ts'

const digest = `sha256:${'a'.repeat(64)}`
const recipe = Recipe.parse({
  name: 'a',
  version: '1',
  engine: 'qemu',
  base: { debian: 'bookworm' },
  guest: { os: 'debian', release: '12' },
  steps: [
    { name: 'packages', packages: { manager: 'apt', list: ['gcc', 'git@1:2.39.5-0+deb12u2'] } },
    { name: 'more', packages: { manager: 'npm', list: ['yarn@1.22.22', 'gcc'] } },
    { name: 'fetch', download: { url: 'https://example.com/a', to: '/tmp/a' } },
    { name: 'fetch again', download: { url: 'https://example.com/a', to: '/tmp/b' } },
    { name: 'other', download: { url: 'https://example.com/b', to: '/tmp/c' } },
  ],
})
const full: RecipeLock = {
  format: 1,
  recipe: 'a',
  base: { name: 'bookworm', digest },
  downloads: ['a', 'b'].map((name) => ({ url: `https://example.com/${name}`, sha256: name.repeat(64), sizeBytes: 1 })),
  packages: [
    { manager: 'apt', name: 'gcc', version: '4:12.2.0-3' },
    { manager: 'apt', name: 'git', version: '1:2.39.5-0+deb12u2' },
    { manager: 'npm', name: 'gcc', version: '1.0.0' },
    { manager: 'npm', name: 'yarn', version: '1.22.22' },
  ],
}
const messages = (lock: RecipeLock | null, of = recipe) => lockProblems(of, lock).map(({ message }) => message)

describe('a lock', () => {
  it('is full when nothing is left open', () => {
    expect(messages(full)).toEqual([])
    expect(RecipeLock.parse(full)).toEqual(full)
  })

  it('is not full without any one thing that it has', () => {
    fc.assert(
      fc.property(fc.constantFrom('downloads' as const, 'packages' as const), fc.nat(3), (list, index) => {
        const kept = full[list].filter((_, place) => place !== index % full[list].length)
        expect(messages({ ...full, [list]: kept })).toHaveLength(1)
      }),
    )
    expect(messages({ ...full, base: null })).toEqual(['the digest of bookworm is not there'])
  })

  it('that is empty lacks everything, as one that is not there', () => {
    expect(messages(emptyLock(recipe))).toEqual(messages(null))
    expect(messages(null)).toEqual([
      'the digest of bookworm is not there',
      'the SHA-256 of https://example.com/a is not there',
      'the SHA-256 of https://example.com/b is not there',
      'the version of gcc of apt is not there',
      'the version of git of apt is not there',
      'the version of gcc of npm is not there',
      'the version of yarn of npm is not there',
    ])
  })

  it('of another version than the recipe names does not do', () => {
    const packages = full.packages.map((entry) => (entry.name === 'yarn' ? { ...entry, version: '1.22.21' } : entry))
    expect(messages({ ...full, packages })).toEqual(['yarn of npm is 1.22.21, and the recipe has 1.22.22'])
  })

  it('of another base does not do', () => {
    expect(messages({ ...full, base: { name: 'trixie', digest } })).toEqual(['it is of trixie, and the recipe has bookworm'])
    const ipsw = Recipe.parse({
      name: 'm',
      version: '1',
      engine: 'tart',
      base: { ipsw: '/a.ipsw', sha256: 'b'.repeat(64) },
      guest: { os: 'macos', release: '15' },
      steps: [{ name: 'a', shell: 'true' }],
    })
    expect(messages({ ...full, base: { name: '/a.ipsw', digest } }, ipsw)).toEqual([
      `it is ${digest}, and the recipe has sha256:${'b'.repeat(64)}`,
    ])
    const above = Recipe.parse({
      name: 'm',
      version: '1',
      engine: 'qemu',
      base: { image: 'debian-12' },
      guest: { os: 'debian', release: '12' },
      steps: [{ name: 'a', shell: 'true' }],
    })
    expect(messages(null, above)).toEqual([])
  })

  it('takes no checksum that is not one', () => {
    expect(RecipeLock.safeParse({ ...full, downloads: [{ url: 'https://example.com/a', sha256: 'abc', sizeBytes: 1 }] }).success).toBe(
      false,
    )
    expect(RecipeLock.safeParse({ ...full, base: { name: 'bookworm', digest: 'sha256:abc' } }).success).toBe(false)
  })

  it('gives what identities are made from', () => {
    const files = new Map([['a', 'b']])
    const { base, downloads, packages } = ingredientsOf(full, files)
    expect([base, downloads.get('https://example.com/b'), packages.get('npm/gcc'), packages.get('apt/gcc')]).toEqual([
      digest,
      'b'.repeat(64),
      '1.0.0',
      '4:12.2.0-3',
    ])
    expect(ingredientsOf(full, files, 'sha256:below').base).toBe('sha256:below')
  })
})
