import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { imagesOfReleases, readReleases, readRequiredRecipe } from './checked-releases.ts'
import { macosReleases } from './guest.ts'

const variable = 'MACOS_VERSIONS_TO_CHECK'
const known = Object.keys(macosReleases)

describe('releases that a host looks after', () => {
  it('are 13 and 14 where nothing is said', () => {
    expect(readReleases(undefined, variable)).toEqual(['13', '14'])
  })

  it('are those of the list, in its order', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(known, { minLength: 1 }), fc.constantFrom(' ', ',', ', ', '\n'), (releases, between) => {
        expect(readReleases(` ${releases.join(between)} `, variable)).toEqual(releases)
      }),
    )
  })

  it.each([
    ['', 'MACOS_VERSIONS_TO_CHECK: it names no release of macOS'],
    [' , ', 'MACOS_VERSIONS_TO_CHECK: it names no release of macOS'],
    ['13 14 13', 'MACOS_VERSIONS_TO_CHECK: 13 is there twice'],
    ['13 16', 'MACOS_VERSIONS_TO_CHECK: there is no macOS "16"; did you mean "13"? (accepted: 13, 14, 15, 26)'],
    ['sonoma', 'MACOS_VERSIONS_TO_CHECK: there is no macOS "sonoma" (accepted: 13, 14, 15, 26)'],
    ['14.1', 'MACOS_VERSIONS_TO_CHECK: there is no macOS "14.1" (accepted: 13, 14, 15, 26)'],
  ])('%j is refused', (text, message) => {
    expect(() => readReleases(text, variable)).toThrow(message)
  })

  it('of one release leave out all images of others', () => {
    const images = [{ release: '13' }, { release: '14' }, { release: '12' }]
    fc.assert(
      fc.property(fc.shuffledSubarray(known, { minLength: 1 }), (releases) => {
        const own = imagesOfReleases(images, readReleases(releases.join(' '), variable))
        expect(own.every(({ release }) => releases.includes(release))).toBe(true)
      }),
    )
    expect(imagesOfReleases(images, readReleases('14', variable))).toEqual([{ release: '14' }])
  })
})

describe('the recipe that is demanded', () => {
  it('is 3.6 where nothing is said, and what is said otherwise', () => {
    expect(readRequiredRecipe(undefined)).toBe('3.6')
    expect(readRequiredRecipe('3.60')).toBe('3.60')
  })

  it.each(['', 'v3 6', '3..6', '-'])('%j is refused', (text) => {
    expect(() => readRequiredRecipe(text)).toThrow('REQUIRED_BOOTSTRAP_VERSION: ')
  })
})
