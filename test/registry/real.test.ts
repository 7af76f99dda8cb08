import { registryContract } from '../contract/registry-suite.ts'
import { givenCredentials, testClient } from '../doubles/registry/client.ts'
import { realUser, startRealRegistry } from './real-registry.ts'

registryContract('docker-registry', async () => {
  const real = await startRealRegistry()
  return { host: real.host, client: (options) => testClient(options), stop: () => real.stop() }
})

registryContract('docker-registry that asks who is there', async () => {
  const real = await startRealRegistry({ auth: true })
  return { host: real.host, client: (options) => testClient(options, { credentials: givenCredentials(realUser) }), stop: () => real.stop() }
})
