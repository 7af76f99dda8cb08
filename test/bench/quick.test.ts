import { describe, expect, it } from 'vitest'
import { run } from '../../tools/run.js'

/** Tiny runs: they say nothing of speed, only that each benchmark still measures what it names. */
describe('npm run bench -- --quick', () => {
  it.each(['overhead', 'syncs', 'placement', 'queue', 'agent', 'dashboard', 'simulation'])('measures %s', async (name) => {
    const { code, output } = (await run(['node', 'tools/bench.js', '--quick', name], { timeoutMs: 560_000 })) as {
      code: number
      output: string
    }
    if (code !== 0) throw new Error(output)
    expect(output).not.toMatch(/NaN|Infinity|undefined/)
    // Every aim was judged by a figure, not by the mark for one that could not be taken.
    const aims = output.split('\n').filter((line) => /^(?:hit|missed): /.test(line))
    expect(aims).not.toEqual([])
    for (const aim of aims) expect(aim).toMatch(/ – [\d.]/)
  })
})
