import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockOf, countOf, newBlock, noResult, seedsLeft, summaryRows, withResult, withScript } from '../../tools/simulate-progress.js'

const about = { commit: 'aaa', node: '26.10.0', hours: 24, hosts: 30, at: '2026-01-01' }
const good = { ...noResult, hostHours: 720, cpuS: 6, jobs: { accepted: 400, ended: 400 }, faults: { boot: 2 }, restMs: 60_000 }
const broken = { ...good, violation: { property: 'rest', problem: 'job-1 is queued', at: 5 } }
const wanted = { ...about, from: 1, count: 5 }

function blockWith(commit: string, results: Readonly<Record<number, typeof good | typeof broken>>): ReturnType<typeof newBlock> {
  return Object.entries(results).reduce(
    (block, [seed, result]) => withResult(block, { seed: Number(seed), ...result }),
    newBlock({ ...about, commit }),
  )
}

describe('the progress of a search', () => {
  it('keeps good seeds as ranges, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(40)), (seeds) => {
        const block = seeds.reduce((before, seed) => withResult(before, { seed, ...good }), newBlock(about))
        expect(countOf(block.good)).toBe(seeds.length)
        const left = seedsLeft([block], { ...about, from: 0, count: 41 })
        expect(left).toEqual(Array.from({ length: 41 }, (_, seed) => seed).filter((seed) => !seeds.includes(seed)))
      }),
    )
  })

  it('looks again at what broke under another commit, and not at what was good', () => {
    const blocks = [blockWith('old', { 1: good, 2: broken }), blockWith('aaa', { 3: good, 4: broken })]
    expect(seedsLeft(blocks, wanted)).toEqual([2, 5])
    expect(seedsLeft(blocks, { ...wanted, hosts: 6 })).toEqual([1, 2, 3, 4, 5])
  })

  it('has a block per commit and size', () => {
    const first = blockOf([], about)
    expect(first).toMatchObject({ index: 0, blocks: [{ commit: 'aaa', hours: 24, hosts: 30 }] })
    expect(blockOf(first.blocks, about).index).toBe(0)
    expect(blockOf(first.blocks, { ...about, commit: 'bbb' })).toMatchObject({ index: 1, blocks: [{ commit: 'aaa' }, { commit: 'bbb' }] })
  })

  it('adds up what was simulated, and says where the script of a broken seed lies', () => {
    const block = withScript(blockWith('aaa', { 1: good, 2: broken }), 2, 'x.yaml')
    expect(block).toMatchObject({
      hostHours: 1440,
      cpuS: 12,
      jobs: { accepted: 800, ended: 800 },
      faults: { boot: 4 },
      longestRestMs: 60_000,
      violations: [{ seed: 2, property: 'rest', script: 'x.yaml' }],
    })
    const rows = summaryRows([block, blockWith('bbb', { 5: good })])
    expect(rows.map(([commit, , seeds, hostHours, jobs, , violations]) => [commit, seeds, hostHours, jobs, violations])).toEqual([
      ['commit', 'seeds', 'host-hours', 'jobs', 'violations'],
      ['aaa', 2, '1,440', '800', 1],
      ['bbb', 1, '720', '400', 0],
      ['all', 3, '2,160', '1,200', 1],
    ])
  })
})
