import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { digestOf, givenCredentials, ociManifest, readAll, sourceOf, testClient } from '../doubles/registry/client.ts'
import { realUser, startRealRegistry, type RealRegistry } from './real-registry.ts'

const run = promisify(execFile)

/** The same things seen by somebody else’s client: what we push it can read, what it pushes we can. */
describe('skopeo', () => {
  const signal = AbortSignal.timeout(120_000)
  const client = testClient({}, { credentials: givenCredentials(realUser) })
  const layer = randomBytes(2_000_000)
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'arm64',
      os: 'linux',
      config: { Labels: { 'org.cidery.build': '7' } },
      rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
    }),
  )
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociManifest,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(config), size: config.length },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(layer), size: layer.length }],
    }),
  )
  let real: RealRegistry
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cidery-skopeo-'))
    real = await startRealRegistry({ auth: true })
    const auth = Buffer.from(`${realUser.username}:${realUser.password}`).toString('base64')
    writeFileSync(join(folder, 'auth.json'), JSON.stringify({ auths: { [real.host]: { auth } } }), { mode: 0o600 })
    const where = { registry: real.host, repository: 'acme/macos' }
    for (const bytes of [config, layer]) await client.writeBlob(where, sourceOf(bytes), { signal })
    await client.writeManifest(where, { name: 'latest', mediaType: ociManifest, bytes: manifest }, signal)
  })
  afterAll(async () => {
    client.close()
    await real.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  async function skopeo(...words: readonly string[]): Promise<string> {
    const env = { ...process.env, REGISTRY_AUTH_FILE: join(folder, 'auth.json'), HOME: folder }
    return (await run('skopeo', ['--insecure-policy', ...words], { env, timeout: 60_000 })).stdout
  }

  it('inspects what was pushed', async () => {
    const seen = JSON.parse(await skopeo('inspect', '--tls-verify=false', `docker://${real.host}/acme/macos:latest`)) as {
      Digest: string
      Labels: unknown
      Layers: unknown
    }
    expect(seen).toMatchObject({ Digest: digestOf(manifest), Labels: { 'org.cidery.build': '7' }, Layers: [digestOf(layer)] })
  })

  it('copies what was pushed, byte for byte, and back under another name', async () => {
    await skopeo(
      'copy',
      '--preserve-digests',
      '--dest-oci-accept-uncompressed-layers',
      '--src-tls-verify=false',
      `docker://${real.host}/acme/macos:latest`,
      `oci:${folder}/image:latest`,
    )
    const blob = (digest: string): Buffer => readFileSync(join(folder, 'image', 'blobs', 'sha256', digest.slice('sha256:'.length)))
    expect(blob(digestOf(layer)).equals(layer)).toBe(true)
    expect(blob(digestOf(manifest)).equals(manifest)).toBe(true)
    const to = `docker://${real.host}/acme/copied:v1`
    await skopeo('copy', '--dest-tls-verify=false', '--preserve-digests', `oci:${folder}/image:latest`, to)
    const where = { registry: real.host, repository: 'acme/copied' }
    expect((await client.resolve(where, 'v1', signal))?.digest).toBe(digestOf(manifest))
    expect((await readAll(client.readBlob(where, digestOf(layer), { signal }))).equals(layer)).toBe(true)
    expect(await client.listTags(where, signal)).toEqual(['v1'])
  })
})
