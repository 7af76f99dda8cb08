import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openOwnCa } from '../../src/drivers/certificates/own-ca.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { runCli } from './run-cli.ts'

const token = 'cidery_tok_only-for-the-right-one'
let directory: string
let server: Server
let url: string
let fingerprint: string
let seen: string[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-trust-test-'))
  const clock = { now: () => Date.now(), steady: () => performance.now() }
  const ca = await openOwnCa({ directory: join(directory, 'tls'), names: ['127.0.0.1'], clock, log: recordingLog() })
  fingerprint = ca.caFingerprint ?? ''
  seen = []
  const { chain, key } = ca.current()
  server = createServer({ cert: chain, key }, (request, response) => {
    seen.push(`${request.url ?? ''} ${request.headers.authorization ?? 'nobody'}`)
    if (request.url === '/api/ca.pem') response.end(ca.caPem)
    else response.setHeader('content-type', 'application/json').end('{"items":[],"nextCursor":null}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await rm(directory, { recursive: true, force: true })
})

function list(env: Readonly<Record<string, string>>) {
  return runCli(['job', 'ls', '--json'], { env: { CIDERY_URL: url, CIDERY_TOKEN: token, ...env } })
}

describe('a controller with a CA of its own', () => {
  it('is trusted by the fingerprint of its CA, and only then gets the token', async () => {
    const run = await list({ CIDERY_CA_FINGERPRINT: fingerprint })
    expect(run.code).toBe(0)
    expect(seen[0]).toBe('/api/ca.pem nobody')
    expect(seen[1]).toContain(`Bearer ${token}`)
  })

  it('takes the fingerprint with colons and capitals as well', async () => {
    const written = `sha256:${fingerprint.toUpperCase().replace(/(..)(?=.)/g, '$1:')}`
    expect((await list({ CIDERY_CA_FINGERPRINT: written })).code).toBe(0)
  })

  it('gets no token when the fingerprint is another', async () => {
    const run = await list({ CIDERY_CA_FINGERPRINT: 'ab'.repeat(32) })
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('another CA than the pinned one')
    expect(seen.join()).not.toContain(token)
  })

  it('gets no token when nothing is pinned', async () => {
    const run = await list({})
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('is not trusted')
    expect(run.stderr).toContain('CIDERY_CA_FINGERPRINT')
    expect(seen).toEqual([])
  })

  it('is found with its CA and token in a state directory', async () => {
    const state = join(directory, 'state')
    await mkdir(state)
    await writeFile(join(state, 'controller.json'), JSON.stringify({ url, caFingerprint: fingerprint }))
    await writeFile(join(state, 'admin.token'), `${token}\n`)
    const run = await runCli(['job', 'ls', '--json'], { env: { CIDERY_STATE: state } })
    expect(run.code).toBe(0)
    expect(seen[1]).toContain(`Bearer ${token}`)
  })
})

describe('credentials', () => {
  it('never travel in plain HTTP to another machine', async () => {
    const run = await list({ CIDERY_URL: 'http://192.0.2.1:7700' })
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('TLS_REQUIRED')
  })

  it('of the state directory are not sent to a controller that is not the one of that directory', async () => {
    const home = join(directory, 'home')
    const state = join(home, '.local', 'state', 'cidery')
    await mkdir(state, { recursive: true })
    await writeFile(join(state, 'controller.json'), JSON.stringify({ url: 'http://127.0.0.1:1', caFingerprint: null }))
    await writeFile(join(state, 'admin.token'), `${token}\n`)
    await runCli(['job', 'ls'], {
      env: { CIDERY_STATE: '', XDG_STATE_HOME: join(home, '.local', 'state'), CIDERY_URL: url, CIDERY_CA_FINGERPRINT: fingerprint },
    })
    expect(seen.length).toBeGreaterThan(0)
    expect(seen.join()).not.toContain(token)
  })

  it('are read from the file that CIDERY_TOKEN_FILE names', async () => {
    await writeFile(join(directory, 'token'), `${token}\n`)
    await list({ CIDERY_TOKEN: '', CIDERY_TOKEN_FILE: join(directory, 'token'), CIDERY_CA_FINGERPRINT: fingerprint })
    expect(seen[1]).toContain(`Bearer ${token}`)
  })
})
