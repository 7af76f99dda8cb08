import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { currentRepository, parseRemote, projectVersion, versionSources } from './project.ts'
import type { VersionTexts } from './project.ts'

const nothing: VersionTexts = { cmake: null, package: null, git: null }
const all: VersionTexts = { cmake: 'project(Bun VERSION 1.2.17)', package: '{ "version": "1.2.18" }', git: 'bun-v1.2.19-3-g2414721\n' }

describe('the version of a project', () => {
  it('comes from the first place of the order that has one [002-08]', () => {
    expect(projectVersion(['cmake', 'package', 'git'], all)).toEqual({ version: '1.2.17', from: 'cmake' })
    expect(projectVersion(['package', 'git'], all)).toEqual({ version: '1.2.18', from: 'package' })
    expect(projectVersion(['git', 'cmake'], all)).toEqual({ version: '1.2.19-3-g2414721', from: 'git' })
    fc.assert(
      fc.property(fc.shuffledSubarray([...versionSources], { minLength: 1 }), (order) => {
        expect(projectVersion(order, all).from).toBe(order[0])
      }),
    )
  })

  it.each([
    ['cmake_minimum_required(VERSION 3.30)\nproject(\n  Bun\n  LANGUAGES C CXX\n  VERSION "1.2.17"\n)', '1.2.17'],
    ['project(Bun)\nset(WEBKIT_VERSION 9.9.9)\nset(Bun_VERSION "1.2.17")', '1.2.17'],
    ['# project(Old VERSION 0.0.1)\nproject(Bun VERSION 1.2.17)', '1.2.17'],
  ])('of CMakeLists.txt is that of its project: %j [002-08]', (cmake, version) => {
    expect(projectVersion(['cmake'], { ...nothing, cmake }).version).toBe(version)
  })

  it.each(['v1.2.17', '1.2.17', 'bun-v1.2.17', 'release-1.2.17'])('of the tag %s is 1.2.17 [002-08]', (git) => {
    expect(projectVersion(['git'], { ...nothing, git }).version).toBe('1.2.17')
  })

  it.each([
    [nothing, 'CMakeLists.txt is not there, package.json is not there, git describe --tags is not there'],
    [
      { cmake: 'cmake_minimum_required(VERSION 3.30)\nset(WEBKIT_VERSION 1.0.0)', package: '{}', git: '2414721' },
      'CMakeLists.txt has none, package.json has none, git describe --tags says "2414721"',
    ],
    [{ ...nothing, package: '{ "version": "canary" }' }, 'package.json says "canary"'],
    [{ ...nothing, package: '{ "version": 1 ' }, 'package.json has none'],
    [{ ...nothing, cmake: 'project(Bun VERSION ${V})' }, 'CMakeLists.txt has none'],
  ])('is never made up: %j [002-08]', (texts, problem) => {
    expect(() => projectVersion(versionSources, texts)).toThrow(problem)
    expect(() => projectVersion([], all)).toThrow('no place is to be looked at')
  })
})

describe('the repository', () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9_-]{0,10}(?:\.[a-z]{2,5})?$/).filter((text) => !text.endsWith('.git'))
  const forms = [
    (path: string) => `git@github.com:${path}`,
    (path: string) => `ssh://git@github.com/${path}`,
    (path: string) => `ssh://git@github.com:22/${path}`,
    (path: string) => `https://github.com/${path}`,
    (path: string) => `https://x-access-token:secret@github.com/${path}`,
    (path: string) => `https://github.com/${path}/`,
  ]

  it('is read from ssh and https remotes, with and without .git [002-09]', () => {
    fc.assert(
      fc.property(word, word, fc.constantFrom(...forms), fc.constantFrom('', '.git'), (...[owner, name, form, end]) => {
        expect(parseRemote(form(`${owner}/${name}${end}`))).toEqual({ host: 'github.com', owner, name })
      }),
    )
  })

  it('may be in a group of groups, and at another forge [002-09]', () => {
    expect(parseRemote('git@git.example.com:group/sub/tool.git')).toEqual({ host: 'git.example.com', owner: 'group/sub', name: 'tool' })
  })

  it.each([
    '',
    '/srv/git/bun.git',
    '../bun',
    'github.com/oven-sh/bun',
    'https://github.com/bun',
    'https://github.com/../bun',
    'git@github.com:bun',
    'file:///srv/bun',
    'https://github.com/a/b?x=1',
  ])('%j is none [002-09]', (remote) => {
    expect(parseRemote(remote)).toBeUndefined()
  })

  it('is what GITHUB_REPOSITORY says, and else the remote [002-09]', () => {
    const remote = 'git@github.com:fork/bun.git'
    expect(currentRepository({ env: { GITHUB_REPOSITORY: 'oven-sh/bun' }, remote })).toEqual({
      host: 'github.com',
      owner: 'oven-sh',
      name: 'bun',
    })
    expect(currentRepository({ env: { GITHUB_REPOSITORY: 'a/b', GITHUB_SERVER_URL: 'https://git.example.com' }, remote })).toMatchObject({
      host: 'git.example.com',
    })
    expect(currentRepository({ env: { GITHUB_REPOSITORY: '' }, remote })).toEqual({ host: 'github.com', owner: 'fork', name: 'bun' })
  })

  it('is never guessed, and no password of a remote is told [002-09]', () => {
    expect(() => currentRepository({ env: { GITHUB_REPOSITORY: 'bun' }, remote: 'git@github.com:a/b' })).toThrow(
      'GITHUB_REPOSITORY is "bun"',
    )
    expect(() => currentRepository({ env: {}, remote: null })).toThrow('no git remote')
    expect(() => currentRepository({ env: {}, remote: 'https://user:secret@example.com/x' })).toThrow(/^(?!.*secret).*not the address/)
  })
})
