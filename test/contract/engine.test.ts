import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { engines } from '../../src/drivers/engines/registry.ts'
import { leftOf, ownSettings, removeSettings } from '../engine/support/engine-under-test.ts'
import { engineContract } from './engine-suite.ts'

/** Where each engine goes through the contract; those with machines have a suite that gives them time. */
const suites: Readonly<Record<keyof typeof engines, string>> = {
  user: 'test/contract/engine.test.ts',
  qemu: 'test/vm/engine.test.ts',
  tart: 'test/tart/engine.test.ts',
}

describe('the registry of engines', () => {
  it('has one line for each folder, the template apart', () => {
    const folders = readdirSync('src/drivers/engines', { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'template',
    )
    expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(engines).sort())
  })

  it.each(Object.entries(suites))('has the contract run on %s', (name, file) => {
    expect(readFileSync(file, 'utf8')).toContain(`engineContract('${name}'`)
  })
})

engineContract('user', () => {
  const settings = ownSettings()
  return {
    name: 'user',
    make: () => engines.user(settings),
    request: {},
    victim: `${settings.stateDir}/victim`,
    left: () => leftOf(settings),
    remove: () => removeSettings(settings),
  }
})
