import { expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { drawScenario } from '../../src/simulate/draw.ts'
import { simulate, type SimulationResult } from '../../src/simulate/simulate.ts'
import { hashInChild, sample } from './hash-in-child.ts'

function run(changes: Partial<Parameters<typeof drawScenario>[0]> = {}): Promise<SimulationResult> {
  return simulate(drawScenario({ ...sample, ...changes }), { drivers: simulationDrivers(), keepLines: 100_000 })
}

it('gives the same journal for the same scenario, and in a process of another time zone and language', async () => {
  const one = await run()
  expect(one.journal.length).toBeGreaterThan(100)
  const other = await run()
  expect(other.journal).toEqual(one.journal)
  expect(other.hash).toBe(one.hash)
  const far = await hashInChild(process.execPath, { TZ: 'Pacific/Kiritimati', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' })
  const near = await hashInChild(process.execPath, { TZ: 'America/St_Johns', LANG: 'C' })
  expect(far.hour).not.toBe(near.hour)
  expect([far.hash, near.hash]).toEqual([one.hash, one.hash])
})

it('gives another journal for another seed', async () => {
  const small = { hours: 0.5, hosts: 2 }
  expect((await run(small)).hash).not.toBe((await run({ ...small, seed: 20_262 })).hash)
})
