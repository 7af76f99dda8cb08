import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { simulationDrivers } from '../../src/main/simulate.ts'
import { readScript } from '../../src/simulate/script.ts'
import { simulate } from '../../src/simulate/simulate.ts'

const folder = join(import.meta.dirname, 'regressions')
const files = globSync('*', { cwd: folder }).toSorted()

describe('what a search once found', () => {
  it('lies in scripts of its own, and nothing else lies there', () => {
    expect(files.filter((name) => !/^[a-z0-9-]+\.yaml$/.test(name))).toEqual([])
  })

  it.each(files)('does not break any more: %s', async (name) => {
    const scenario = readScript(readFileSync(join(folder, name), 'utf8'), name)
    const { violation } = await simulate(scenario, { drivers: simulationDrivers() })
    expect(violation).toBeNull()
  })
})
