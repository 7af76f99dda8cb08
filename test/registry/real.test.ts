import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { createRegistryCredentials } from '../../src/drivers/registry-credentials/find-credentials.ts'
import { registryContract } from '../contract/registry-suite.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { digestOf, givenCredentials, readAll, sourceOf, testClient } from '../doubles/registry/client.ts'
import { realUser, startRealRegistry } from './real-registry.ts'

registryContract('docker-registry', async () => {
  const real = await startRealRegistry()
  return { host: real.host, client: (options) => testClient(options), stop: () => real.stop() }
})

registryContract('docker-registry that asks who is there', async () => {
  const real = await startRealRegistry({ auth: true })
  return { host: real.host, client: (options) => testClient(options, { credentials: givenCredentials(realUser) }), stop: () => real.stop() }
})

describe('docker-registry and the places of credentials', () => {
  it('takes what a file has, and says what was looked at when there is nothing', async () => {
    const real = await startRealRegistry({ auth: true })
    const home = mkdtempSync(join(tmpdir(), 'cidery-home-'))
    const log = recordingLog()
    const parts = { platform: 'linux', env: {}, home, processes: new LocalProcesses(), log, uid: process.getuid?.() ?? 0, oldFolder: home }
    const client = testClient({}, { credentials: createRegistryCredentials(parts) })
    const signal = AbortSignal.timeout(30_000)
    const where = { registry: real.host, repository: 'acme/macos' }
    const bytes = Buffer.from('a blob')
    try {
      await expect(client.writeBlob(where, sourceOf(bytes), { signal })).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
        hint: expect.stringContaining(`no file ${home}/.docker/config.json`),
      })
      const file = join(home, 'credentials.json')
      writeFileSync(file, JSON.stringify({ [real.host]: realUser }), { mode: 0o600 })
      const later = testClient({}, { credentials: createRegistryCredentials({ ...parts, credentialsFile: file }) })
      expect(await later.writeBlob(where, sourceOf(bytes), { signal })).toBe(bytes.length)
      expect(String(await readAll(later.readBlob(where, digestOf(bytes), { signal })))).toBe('a blob')
      later.close()
      await expect(later.hasBlob(where, digestOf(bytes), signal)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    } finally {
      client.close()
      await real.stop()
      rmSync(home, { recursive: true })
    }
  })
})
