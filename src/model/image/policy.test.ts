import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Image } from '../spec.ts'
import { defaultNameTemplate } from './name.ts'
import { byPreference } from './policy.ts'

const day = 24 * 3_600_000
const problemOf = (more: object) => Image.safeParse({ engine: 'tart', ...more }).error?.issues[0]?.message

describe('how images are built and kept', () => {
  it('is said by nothing but the engine, as before', () => {
    expect(Image.parse({ engine: 'tart' })).toEqual({
      engine: 'tart',
      size: 1024 ** 3,
      name: defaultNameTemplate,
      versionFrom: ['cmake', 'package', 'git'],
      retention: { age: 7 * day, count: 3 },
      rollout: { wave: 2, share: 0.5 },
    })
  })

  it('is every day at 02:00 UTC where a schedule is there and says nothing else', () => {
    expect(Image.parse({ engine: 'tart', schedule: {} }).schedule).toEqual({ cron: '0 2 * * *', timezone: 'UTC', windows: [] })
  })

  it.each([
    [{ registry: 'ghcr.io/acme/macos-15:latest' }, 'a repository without tag and digest'],
    [{ registry: 'macos-15' }, 'is not the host of a registry'],
    [{ name: 'macos' }, 'it has no field'],
    [{ required: 3.6 }, 'a version in quotes'],
    [{ schedule: { timezone: 'berlin' } }, 'a time zone such as UTC'],
    [{ schedule: { windows: [{ start: '0 2 * * *' }] } }, 'a duration such as'],
    [{ canary: { hosts: ['a'], share: 0.1 } }, 'not both'],
    [{ versionFrom: [] }, 'Too small'],
    [{ versionFrom: ['git', 'git'] }, 'each place once'],
    [{ versionFrom: ['npm'] }, 'Invalid option'],
    [{ rollout: { share: 0 } }, 'Too small'],
    [{ retention: { count: 0 } }, 'Too small'],
  ])('refuses %j', (more, problem) => {
    expect(problemOf(more)).toContain(problem)
  })
})

describe('a preference', () => {
  it('puts the images named first, in that order, and leaves the others as they are', () => {
    const images = ['macos-13', 'macos-15', 'macos-14', 'debian-12']
    expect(byPreference(['macos-14', 'macos-13'], (name: string) => name)(images)).toEqual([
      'macos-14',
      'macos-13',
      'macos-15',
      'debian-12',
    ])
    expect(byPreference([], (name: string) => name)(images)).toEqual(images)
  })

  it('is the same whatever order the named ones come in', () => {
    const names = ['a', 'b', 'c', 'd']
    fc.assert(
      fc.property(fc.shuffledSubarray(names, { minLength: 4 }), fc.shuffledSubarray(names), (things, prefer) => {
        const sorted = byPreference(prefer, (name: string) => name)(things)
        expect(sorted.slice(0, prefer.length)).toEqual(prefer)
        expect([...sorted].sort()).toEqual(names)
      }),
    )
  })
})
