import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { countRows, joinRows, parseRows, tableProblems, tagsOf } from '../../tools/requirement-rows.js'
import { root } from '../../tools/run.js'
import { seededCopy } from './seeded-copy.ts'
import type { SeededCopy } from './seeded-copy.ts'

const rows = parseRows(
  [
    '| id | promise | up | it works means | t |',
    '| 001-01 | a | ok | b | L |',
    '| 001-02 | a \\| b | ok | c \\| d | M |',
    '| W-01 | a | e | n | b | F |',
  ].join('\n'),
)

function stateOf(id: string, tests: readonly (readonly [string, string])[], platform = 'linux'): string | undefined {
  const titled = tests.map(([title, status]) => ({ title, status }))
  return joinRows(rows, titled, platform).find((row: { id: string }) => row.id === id)?.state
}

describe('the requirements table', () => {
  it('has 472 rows, each as it was agreed', () => {
    const all = parseRows(readFileSync(join(root, 'docs', 'requirements.md'), 'utf8'))
    expect(all).toHaveLength(472)
    expect(tableProblems(all)).toEqual([])
  })

  it('is read with its bars and its wider tables', () => {
    expect(rows).toEqual([
      { id: '001-01', group: '001', statement: 'b', type: 'L' },
      { id: '001-02', group: '001', statement: 'c | d', type: 'M' },
      { id: 'W-01', group: 'W', statement: 'b', type: 'F' },
    ])
  })
})

describe('a tag', () => {
  it('is read from anywhere in a title, several at once', () => {
    expect(tagsOf('engine: users [001-29] [W-01] and [002-131 on double]')).toEqual([
      { id: '001-29', onDouble: false },
      { id: 'W-01', onDouble: false },
      { id: '002-131', onDouble: true },
    ])
  })

  it('is not read from other brackets', () => {
    expect(tagsOf('[linux] [001] [1-2] [001-29x] a[0]')).toEqual([])
  })
})

describe('a row', () => {
  it('is open without a test', () => {
    expect(stateOf('001-01', [])).toBe('open')
  })

  it('is done when all of its tests passed', () => {
    expect(
      stateOf('001-01', [
        ['a [001-01]', 'passed'],
        ['b [001-01] [W-01]', 'passed'],
      ]),
    ).toBe('done')
  })

  it.each(['failed', 'skipped', 'pending', 'todo', 'unrun'])('is open when one of its tests is %s', (status) => {
    expect(
      stateOf('001-01', [
        ['a [001-01]', 'passed'],
        ['b [001-01]', status],
      ]),
    ).toBe('open')
  })

  it('is on a double when a test of it stands on one', () => {
    expect(stateOf('001-01', [['a [001-01 on double]', 'passed']])).toBe('onDouble')
    expect(
      stateOf('001-01', [
        ['a [001-01 on double]', 'passed'],
        ['b [001-01]', 'passed'],
      ]),
    ).toBe('onDouble')
  })

  it('of type M is on a double everywhere but on a Mac', () => {
    expect(stateOf('001-02', [['a [001-02]', 'passed']])).toBe('onDouble')
    expect(stateOf('001-02', [['a [001-02]', 'passed']], 'darwin')).toBe('done')
  })

  it('counts once, in its group and in all', () => {
    const joined = joinRows(rows, [{ title: 'a [001-01]', status: 'passed' }], 'linux')
    expect(countRows(joined)).toEqual({
      done: 1,
      onDouble: 0,
      open: 2,
      total: 3,
      groups: { '001': { done: 1, onDouble: 0, open: 1, total: 2 }, W: { done: 0, onDouble: 0, open: 1, total: 1 } },
    })
  })
})

describe('npm run requirements', () => {
  let copy: SeededCopy | undefined

  afterEach(() => copy?.remove())

  function withRun(report: unknown): SeededCopy {
    copy = seededCopy({ 'docs/requirements.md': readFileSync(join(root, 'docs', 'requirements.md'), 'utf8') })
    copy.write('reports/results/unit.json', JSON.stringify(report))
    return copy
  }

  it('prints counts of the last run for programs', async () => {
    const assertionResults = [{ fullName: 'locks race [003-10]', status: 'passed' }]
    const place = withRun({ testResults: [{ name: '/x.test.ts', status: 'passed', assertionResults }] })
    const { output } = await place.run(['node', 'tools/requirements.js', '--json'])
    expect(JSON.parse(output)).toMatchObject({ done: 1, onDouble: 0, open: 471, total: 472, groups: { '003': { done: 1, total: 49 } } })
  })

  it('keeps a row open whose other test is written but did not run', async () => {
    const assertionResults = [{ fullName: 'locks race [003-10]', status: 'passed' }]
    const place = withRun({ testResults: [{ name: '/x.test.ts', status: 'passed', assertionResults }] })
    place.write('test/agent/locks.test.ts', "it('locks [003-10]', () => undefined)\n")
    const { output } = await place.run(['node', 'tools/requirements.js'])
    expect(output).toMatch(/^003 +0 +0 +49 +49 /m)
    expect(output).toContain('003-10 is open because this test did not pass: test/agent/locks.test.ts [003-10], which did not run')
  })
})
