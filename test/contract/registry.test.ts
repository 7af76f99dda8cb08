import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { registries } from '../../src/drivers/registries/registry.ts'
import { givenCredentials, testClient } from '../doubles/registry/client.ts'
import { startRegistryDouble, type RegistryDoubleOptions } from '../doubles/registry/registry-double.ts'
import { registryContract } from './registry-suite.ts'

describe('the registry of registries', () => {
  it('has one line for each folder, the template apart', () => {
    const folders = readdirSync('src/drivers/registries', { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'template',
    )
    expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(registries).sort())
  })
})

const user = { username: 'fleet', password: 'only-for-tests' }
const doubles: Readonly<Record<string, RegistryDoubleOptions>> = {
  'a double': {},
  'a double that asks for Basic': { auth: { kind: 'basic', users: [user] } },
  'a double that asks for tokens, and has its blobs elsewhere': { auth: { kind: 'bearer', users: [user] }, redirectBlobs: true },
}

for (const [name, options] of Object.entries(doubles)) {
  registryContract(name, async () => {
    const double = await startRegistryDouble(options)
    return {
      host: double.host,
      client: (own) => testClient(own, { credentials: options.auth === undefined ? null : givenCredentials(user) }),
      async stop() {
        await double.stop()
        expect(double.leaks).toEqual([])
      },
    }
  })
}
