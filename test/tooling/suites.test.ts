import { globSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { components } from '../../tools/components.js'
import { ensureComponents } from '../../tools/install-components.js'
import { root } from '../../tools/run.js'
import { suites } from '../../tools/suites.js'

interface Suite {
  readonly name: string
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly needs?: readonly string[]
}

const all: readonly Suite[] = suites

function filesOf(suite: Suite): readonly string[] {
  const excluded = new Set((suite.exclude ?? []).flatMap((pattern) => globSync(pattern, { cwd: root })))
  return (suite.include ?? []).flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => !excluded.has(file))
}

describe('the suites', () => {
  it('take every test file exactly once', () => {
    const files = globSync(['src/**/*.test.{ts,tsx}', 'test/**/*.test.{ts,tsx}', 'web/**/*.test.{ts,tsx}'], { cwd: root })
    const taken = all.flatMap(filesOf)
    expect(files.filter((file) => taken.filter((name) => name === file).length !== 1)).toEqual([])
  })

  it('name components that exist', () => {
    expect(all.flatMap((suite) => suite.needs ?? []).filter((name) => !(name in components))).toEqual([])
  })

  it('have names of their own', () => {
    expect(new Set(all.map((suite) => suite.name)).size).toBe(all.length)
  })
})

describe('components', () => {
  it('that are there need no install', async () => {
    expect(await ensureComponents(['git', 'bash'])).toEqual(new Map())
  })

  it('that nobody described are refused', async () => {
    await expect(ensureComponents(['tape-drive'])).rejects.toThrow('there is no component "tape-drive"')
  })

  it('say how they get here', () => {
    const silent = Object.entries<{ debian?: string[]; by?: string }>(components).filter(
      ([, { debian, by }]) => debian === undefined && by === undefined,
    )
    expect(silent).toEqual([])
  })
})
