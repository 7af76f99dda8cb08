import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { simulateCommand } from '../../src/main/cli-simulate.ts'
import { scenarioOf } from './scenario-of.ts'

const spec = `version: 1
pools:
  default: { engines: { user: { slots: 3, limits: advisory, networks: [host, nat, none] } } }
queues:
  default: {}
`

/** How far one number is from another, as a part of it. */
const off = (simulated: number, real: number) => Math.abs(simulated / real - 1)

describe('a replay of what really happened', () => {
  // fixtures/real-run.csv: 61 jobs that came within ten minutes to a machine of two processors, exported by cidery job export.
  it('gives the mean wait and the utilisation of the real run within a tenth', async () => {
    const file = 'real-run.csv'
    const text = await readFile(join(import.meta.dirname, 'fixtures', file), 'utf8')
    const report = await simulateCommand(
      {
        trace: { file, text },
        specs: [{ file: 'cidery.yaml', source: spec }],
        whatIf: [],
        hosts: { hosts: '1', hostShape: 'cpu=2,memory=4GiB' },
        queues: {},
        seed: 1,
      },
      () => undefined,
    )
    const simulated = scenarioOf(report, 'A')
    const { measured } = report.trace
    expect(measured?.waitMs.count).toBe(61)
    expect(simulated.jobs).toMatchObject({ ended: 61, retried: 0 })
    expect(off(simulated.waitMs.mean, measured?.waitMs.mean ?? 0)).toBeLessThan(0.1)
    const slots = simulated.pools.reduce((sum, pool) => sum + pool.slots, 0)
    const real = (measured?.takenMs ?? 0) / (slots * (measured?.periodMs ?? 0))
    expect(off(simulated.utilisation, real)).toBeLessThan(0.1)
  })
})
