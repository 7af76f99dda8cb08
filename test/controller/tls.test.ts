import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer as createTlsServer, connect } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openGivenCertificate } from '../../src/drivers/certificates/given-certificate.ts'
import { openOwnCa } from '../../src/drivers/certificates/own-ca.ts'
import { createServer } from '../../src/serve/server.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { virtualTime } from '../doubles/virtual-time.ts'
import { fixture } from './access-fixture.ts'
import type { Fixture } from './access-fixture.ts'

let directory = ''
let made: Fixture | undefined
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cidery-tls-'))
})
afterEach(async () => {
  await made?.close()
  made = undefined
  await rm(directory, { recursive: true, force: true })
})

const log = recordingLog()
const names = ['localhost', '127.0.0.1', '::1', 'fe80::a:b', 'ci.example']

function ownCa(time = virtualTime({ startAt: Date.now() }), of: readonly string[] = names) {
  return openOwnCa({ directory: join(directory, 'tls'), names: of, clock: time.clock, log })
}

/** GET over TLS, trusting only the given CA; answers the status, or the code of the failure. */
function get(url: string, trust: { readonly ca?: string; readonly rejectUnauthorized?: boolean }): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(url, { ...trust, agent: false }, (answer) => {
      answer.resume()
      resolve(String(answer.statusCode))
    })
    sent.on('error', (error: Error & { code?: string }) => resolve(error.code ?? error.message))
    sent.end()
  })
}

describe('the controller’s own CA', () => {
  it('signs a server certificate that Node and OpenSSL accept for each of its names', async () => {
    const certificates = await ownCa()
    const server = new X509Certificate(certificates.current().chain)
    const ca = new X509Certificate(certificates.caPem ?? '')
    expect(ca.ca).toBe(true)
    expect(server.ca).toBe(false)
    expect(server.checkIssued(ca)).toBe(true)
    expect(server.verify(ca.publicKey)).toBe(true)
    expect(server.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    for (const name of ['localhost', 'ci.example']) expect(server.checkHost(name)).toBe(name)
    for (const address of ['127.0.0.1', '::1', 'fe80::a:b']) expect(server.checkIP(address)).toBeDefined()
    expect(server.checkHost('other.example')).toBeUndefined()
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: join(directory, 'tls'), encoding: 'utf8' })
    expect(
      openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'ci.example', '-CAfile', 'ca.pem', 'server.pem'),
    ).toContain('OK')
    expect(openssl('verify', '-x509_strict', '-verify_ip', 'fe80::a:b', '-CAfile', 'ca.pem', 'server.pem')).toContain('OK')
    expect(openssl('x509', '-in', 'ca.pem', '-noout', '-text')).toContain('CA:TRUE, pathlen:0')
  })

  it('keeps its keys from everybody else', async () => {
    await ownCa()
    const modeOf = async (name: string) => ((await stat(join(directory, 'tls', name))).mode & 0o777).toString(8)
    expect([await modeOf('.'), await modeOf('ca.key'), await modeOf('server.key')]).toEqual(['700', '600', '600'])
  })

  it('stays the same at the next start, with a fingerprint that is the SHA-256 of its DER', async () => {
    const first = await ownCa()
    const second = await ownCa()
    expect(second.caFingerprint).toBe(first.caFingerprint)
    expect(second.current()).toEqual(first.current())
    const openssl = execFileSync('openssl', ['x509', '-in', join(directory, 'tls', 'ca.pem'), '-noout', '-fingerprint', '-sha256'], {
      encoding: 'utf8',
    })
    expect(openssl.trim().split('=')[1]?.replaceAll(':', '').toLowerCase()).toBe(first.caFingerprint)
  })

  it('renews the server certificate 30 days before its end, and at a start with a new name', async () => {
    const time = virtualTime({ startAt: Date.now() })
    const certificates = await ownCa(time)
    const first = certificates.current()
    expect(await certificates.renewIfDue()).toBe(false)
    await time.advance(60 * 86_400_000)
    expect(await certificates.renewIfDue()).toBe(true)
    expect(certificates.current().chain).not.toBe(first.chain)
    expect(certificates.current().expiresAt).toBeGreaterThan(first.expiresAt)
    const renamed = await ownCa(time, [...names, 'new.example'])
    expect(new X509Certificate(renamed.current().chain).checkHost('new.example')).toBe('new.example')
    expect(renamed.caFingerprint).toBe(certificates.caFingerprint)
  })

  it('refuses to start over silently when its certificate is broken: every host would be locked out', async () => {
    await ownCa()
    await writeFile(join(directory, 'tls', 'ca.pem'), 'not a certificate')
    await expect(ownCa()).rejects.toMatchObject({ code: 'INTERNAL', hint: expect.stringContaining('backup') })
  })
})

describe('HTTPS', () => {
  it('is answered to a client that pins the CA, and refused by one that pins another [003-28]', async () => {
    made = await fixture({ names: ['localhost', '127.0.0.1'] })
    const { port } = await made.server.listen({ host: '127.0.0.1', port: 0 })
    const url = `https://127.0.0.1:${port}/healthz`
    const other = await ownCa()
    expect(await get(url, { ca: made.ca?.pem ?? '' })).toBe('200')
    expect(await get(url, { ca: other.caPem ?? '' })).toMatch(/UNABLE_TO|SELF_SIGNED|SIGNATURE/)
    expect(await get(url, {})).toMatch(/UNABLE_TO|SELF_SIGNED/)
  })

  it('hands out its CA, whose fingerprint a new host compares before it trusts [003-28]', async () => {
    made = await fixture({ names: ['localhost'] })
    const { body, headers } = await made.app.inject({ url: '/api/ca.pem' })
    expect(headers['content-type']).toContain('application/x-pem-file')
    expect(new X509Certificate(body).fingerprint256.replaceAll(':', '').toLowerCase()).toBe(made.ca?.fingerprint)
  })

  it('sends its CA along, so that the fingerprint alone is enough to check the chain', async () => {
    made = await fixture({ names: ['127.0.0.1'] })
    const { port } = await made.server.listen({ host: '127.0.0.1', port: 0 })
    const peer = await new Promise<PeerCertificate & { issuerCertificate?: PeerCertificate }>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate(true))
        socket.destroy()
      }).on('error', reject)
    })
    expect(peer.issuerCertificate?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(made.ca?.fingerprint)
  })

  it('gives new connections a renewed certificate without a restart', async () => {
    made = await fixture({ names: ['127.0.0.1'] })
    const { port } = await made.server.listen({ host: '127.0.0.1', port: 0 })
    const other = await ownCa()
    made.server.setCertificate(other.current())
    expect(await get(`https://127.0.0.1:${port}/healthz`, { ca: other.caPem ?? '' })).toBe('200')
  })

  it('does not answer plain HTTP on its port [003-28]', async () => {
    made = await fixture({ names: ['127.0.0.1'] })
    const { port } = await made.server.listen({ host: '127.0.0.1', port: 0 })
    const outcome = await new Promise<string>((resolve) => {
      httpRequest({ host: '127.0.0.1', port, path: '/healthz' }, (answer) => resolve(`answered ${String(answer.statusCode)}`))
        .on('error', (error: Error & { code?: string }) => resolve(error.code ?? 'failed'))
        .end()
    })
    expect(outcome).toMatch(/ECONNRESET|EPIPE|HPE_/)
  })
})

describe('plain HTTP', () => {
  it.each(['0.0.0.0', '::', '192.0.2.7', 'ci.example'])('is refused on %s, and nothing is bound [003-28]', async (host) => {
    made = await fixture()
    await expect(made.server.listen({ host, port: 0 })).rejects.toMatchObject({ code: 'TLS_REQUIRED' })
    expect(made.app.server.listening).toBe(false)
  })

  it('is served outside loopback only with the explicit flag for development [003-28]', async () => {
    made = await fixture()
    const server = await createServer({ ports: made.ports, routes: [], version: '0', tls: null, insecureHttp: true })
    const { port } = await server.listen({ host: '0.0.0.0', port: 0 })
    expect((await fetch(`http://127.0.0.1:${port}/api/openapi.json`)).status).toBe(200)
    await server.close()
  })

  it('is served on loopback', async () => {
    made = await fixture()
    const { url } = await made.server.listen({ host: '127.0.0.1', port: 0 })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })
})

describe('a certificate that the operator brings', () => {
  it('is used, and read again when its files change', async () => {
    const own = await ownCa()
    const files = {
      certificateFile: join(directory, 'given.pem'),
      keyFile: join(directory, 'given.key'),
      caFile: join(directory, 'tls', 'ca.pem'),
    }
    await writeFile(files.certificateFile, own.current().chain)
    await writeFile(files.keyFile, own.current().key, { mode: 0o600 })
    const given = await openGivenCertificate(files)
    expect(given.caFingerprint).toBe(own.caFingerprint)
    expect(await given.renewIfDue()).toBe(false)
    await writeFile(files.certificateFile, `${await readFile(files.certificateFile, 'utf8')}\n`)
    expect(await given.renewIfDue()).toBe(true)
    const server = createTlsServer({ cert: given.current().chain, key: given.current().key })
    server.close()
  })

  it('is refused by the name of the file that is wrong', async () => {
    await expect(
      openGivenCertificate({ certificateFile: join(directory, 'no.pem'), keyFile: join(directory, 'no.key') }),
    ).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('no.pem'),
    })
  })
})
