import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { versions } from '../../images/versions.js'
import { reportRecipe } from './cli-image.ts'

const folder = join(import.meta.dirname, '../../images')
const files = readdirSync(folder).filter((name) => /\.image\.js$|\.yaml$/.test(name))
const reports = new Map(await Promise.all(files.map(async (name) => [name, await reportRecipe(join(folder, name))] as const)))
const macos = [...reports].filter(([name]) => name.startsWith('macos-'))

/** Rows 001-72 to 001-75 of docs/requirements.md: what must be in an image, with the versions that are exact. */
const exact = { 'LLVM/Clang': '19.1.7', CMake: '3.30.5', Node: '24.3.0', Bun: '1.2.17', 'Buildkite agent': '3.87.0' }
const software =
  'ninja pkg-config ccache Python_3.11 Python_3.12 Go Rust Homebrew npm yarn pip cargo make autoconf automake meson libtool git gh curl wget jq tree htop tmux screen Docker_Desktop tailscale Age macFUSE Chromium'
    .split(' ')
    .map((word) => word.replace('_', ' ').toLowerCase())

describe('the recipes that come along', () => {
  it('are there for every release', () => {
    expect([...reports.keys()].toSorted()).toEqual([
      'debian-12.yaml',
      'macos-13.image.js',
      'macos-14.image.js',
      'macos-15.image.js',
      'macos-26.image.js',
    ])
  })

  it.each(macos)('%s has all the software, with the exact versions', (_, { recipe }) => {
    const tools = new Map(recipe.tools.map(({ name, version }) => [name, version]))
    expect(Object.fromEntries(Object.keys(exact).map((name) => [name, tools.get(name)]))).toEqual(exact)
    const names = [...tools.keys()].map((name) => name.toLowerCase())
    for (const name of software) expect(names).toContain(name)
  })

  it.each(macos)('%s has no lock that says what nobody read', (_, { lock, lacks }) => {
    expect(lock).toMatchObject({ base: null, downloads: [], packages: [] })
    expect(lacks.length).toBeGreaterThan(5)
  })

  it('have every version of the macOS images in one file', () => {
    const others = ['macos.js', ...files].filter((name) => name !== 'debian-12.yaml')
    for (const name of others) {
      const source = readFileSync(join(folder, name), 'utf8')
      for (const version of Object.values({ ...exact, age: versions.age, yarn: versions.yarn })) expect(source).not.toContain(version)
    }
    expect(Object.values(versions)).toEqual(expect.arrayContaining(Object.values(exact)))
  })

  it('have one that is locked: that of Debian', () => {
    const debian = reports.get('debian-12.yaml')
    expect(debian?.lacks).toEqual([])
    expect(debian?.identity?.layers.map(({ name }) => name)).toEqual(['system', 'tools'])
  })

  it('test a fresh macOS machine six times over in three rounds', () => {
    for (const [, { recipe }] of macos)
      expect([recipe.validation.checks.length, recipe.flakiness.rounds, recipe.flakiness.threshold]).toEqual([6, 3, 0.8])
  })
})
