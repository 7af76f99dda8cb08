import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { atLeast, atMost } from '../../bench/report.ts'
import { figure, median, percentile, ratios, spread } from '../../bench/statistics.ts'
import { aimLines, markdown, putInto } from '../../tools/bench-tables.js'

const root = join(import.meta.dirname, '../..')
const report = {
  name: 'syncs',
  columns: ['agents', 'syncs/s'],
  rows: [['1000', '900 (800–1100)']],
  aims: [
    atLeast('≥ 0.6 ×', { value: 0.72, limit: 0.6, unit: '×' }),
    atMost('< 5 ms', { value: 7, limit: 5, unit: 'ms', besides: 'of processor time' }),
  ],
  notes: ['how'],
}

describe('the tables of the benchmarks', () => {
  it('say of each aim whether it was hit', () => {
    expect(aimLines(report)).toEqual(['hit: ≥ 0.6 × – 0.72 ×, 1.2 × the aim', 'missed: < 5 ms – 7 ms, of processor time, 1.4 × the aim'])
    const text = markdown(report, 'a machine')
    expect(text).toContain('| agents | syncs/s |\n| --- | --- |\n| 1000 | 900 (800–1100) |')
    expect(text).toContain('| < 5 ms | 7 ms, of processor time | 1.4 | **missed** |')
    expect(text).toContain('npm run bench -- syncs')
  })

  it('replace only what stands between their marks, again and again', () => {
    const document = 'before\n\n<!-- bench:syncs -->\n\nold\n\n<!-- /bench:syncs -->\n\nwhy\n'
    const once = putInto(document, 'syncs', 'new')
    expect(once).toBe('before\n\n<!-- bench:syncs -->\n\nnew\n\n<!-- /bench:syncs -->\n\nwhy\n')
    expect(putInto(once, 'syncs', 'new')).toBe(once)
    expect(() => putInto(document, 'queue', 'new')).toThrow('no place for queue')
  })

  it('have a place in the document, and a benchmark behind each place', () => {
    const names = [...readFileSync(join(root, 'docs/benchmarks.md'), 'utf8').matchAll(/<!-- bench:(\w+) -->/g)].map(([, name = '']) => name)
    expect(names).toEqual(['overhead', 'syncs', 'placement', 'queue', 'agent', 'dashboard', 'simulation'])
    for (const name of names) expect(existsSync(join(root, `bench/${name}.bench.ts`))).toBe(true)
    const { stdout } = spawnSync(process.execPath, ['tools/bench.js', '--help'], { cwd: root, encoding: 'utf8' })
    expect(stdout).toContain(names.join(', '))
  })

  it('refuse a benchmark that is not there, and to write down a quick run', () => {
    const ask = (...words: string[]) => spawnSync(process.execPath, ['tools/bench.js', ...words], { cwd: root, encoding: 'utf8' })
    expect(ask('snycs')).toMatchObject({ status: 2, stderr: expect.stringContaining('overhead, syncs') as unknown })
    expect(ask('--quick', '--write', 'docs/benchmarks.md')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--quick') as unknown,
    })
  })
})

describe('the statistics of the benchmarks', () => {
  it('take percentiles by nearest rank and medians between two', () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect(percentile(hundred, 0.99)).toBe(99)
    expect(percentile(hundred, 1)).toBe(100)
    expect(percentile([7], 0.5)).toBe(7)
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
  })

  it('write figures with three digits, and a dash for what is none', () => {
    expect([0, 0.08412, 1.2345, 56.78, 999.9, 12_345, 1_234_567].map(figure)).toEqual([
      '0',
      '0.084',
      '1.23',
      '56.8',
      '1 000',
      '12 300',
      '1 230 000',
    ])
    expect([Number.NaN, 1 / 0].map(figure)).toEqual(['–', '–'])
    expect(spread([2, 1, 3])).toBe('2 (1–3)')
    expect(spread([])).toBe('–')
  })

  it('divide round by round, so that a slow round does not favour either', () => {
    expect(ratios([10, 5], [20, 10])).toEqual([0.5, 0.5])
  })
})
