import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { RuntimeFailure } from './failures.ts'
import { profile } from './profile.ts'

/** What Foundation calls a URLError: the network, not the registry. Only these are tried again. */
export class NetworkFailure extends RuntimeFailure {}

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Statuses that are an answer. */
  readonly takes: readonly number[]
}

/** A repository of a registry on loopback, spoken to as Tart does. */
export class RemoteRegistry {
  readonly #base: string
  readonly #host: string
  #authorization: string | undefined

  constructor(host: string, namespace: string, insecure: boolean) {
    if (!/^(?:localhost|127\.[\d.]+)(?::\d+)?$/.test(host))
      throw new NetworkFailure(`Could not connect to the server. (${host} is not on loopback)`)
    this.#host = host
    this.#base = `${insecure ? 'http' : 'https'}://${host}/v2/${namespace}`
  }

  async manifest(reference: string): Promise<Buffer> {
    const response = await this.#ask(`${this.#base}/manifests/${reference}`, { headers: { accept: ociManifest }, takes: [200] })
    return Buffer.from(await whole(response))
  }

  /** Bytes from `from` on; nothing is compared with the digest. */
  async *blob(digest: string, from = 0): AsyncGenerator<Uint8Array> {
    const headers = from > 0 ? { range: `bytes=${from}-` } : {}
    const response = await this.#ask(`${this.#base}/blobs/${digest}`, { headers, takes: [from > 0 ? 206 : 200] })
    try {
      for await (const piece of response.body ?? []) yield piece
    } catch (error) {
      throw networkFailure(error)
    }
  }

  async wholeBlob(digest: string): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    for await (const piece of this.blob(digest)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /** Sends bytes unless they are there, in one PUT or in pieces; gives their digest. */
  async pushBlob(bytes: Uint8Array, pieceBytes = 0): Promise<string> {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const there = await this.#ask(`${this.#base}/blobs/${digest}`, { method: 'HEAD', takes: [200, 404] })
    if (there.status === 200) return digest
    let place = await this.#location(`${this.#base}/blobs/uploads/`, { method: 'POST', takes: [202] })
    const starts = pieceBytes === 0 ? [] : Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, number) => number * pieceBytes)
    for (const at of starts) {
      const piece = bytes.subarray(at, at + pieceBytes)
      const headers = { 'content-type': 'application/octet-stream', 'content-range': `${at}-${at + piece.length - 1}` }
      place = await this.#location(place, { method: 'PATCH', headers, body: piece, takes: [202] })
    }
    const end = new URL(place)
    end.searchParams.set('digest', digest)
    const body = pieceBytes > 0 ? new Uint8Array() : bytes
    await whole(
      await this.#ask(String(end), { method: 'PUT', headers: { 'content-type': 'application/octet-stream' }, body, takes: [201] }),
    )
    return digest
  }

  async pushManifest(reference: string, bytes: Uint8Array): Promise<void> {
    const url = `${this.#base}/manifests/${reference}`
    await whole(await this.#ask(url, { method: 'PUT', headers: { 'content-type': ociManifest }, body: bytes, takes: [201] }))
  }

  async #location(url: string, asked: Asked): Promise<string> {
    const response = await this.#ask(url, asked)
    await whole(response)
    return String(new URL(response.headers.get('location') ?? '', url))
  }

  async #ask(url: string, asked: Asked): Promise<Response> {
    let response = await this.#send(url, asked)
    if (response.status === 401 && this.#authorization === undefined) {
      this.#authorization = await this.#authorize(response.headers.get('www-authenticate') ?? '')
      response = await this.#send(url, asked)
    }
    if (asked.takes.includes(response.status)) return response
    const details = Buffer.from(await whole(response))
      .toString('utf8')
      .slice(0, 200)
    throw new RuntimeFailure(`unexpected HTTP status code ${response.status}${details === '' ? '' : `: ${details}`} (${url})`)
  }

  async #send(url: string, { method = 'GET', headers = {}, body }: Asked): Promise<Response> {
    const authorization = this.#authorization
    const named = {
      'user-agent': `Tart/${profile.version} (macOS 15.6.0; Mac16,10)`,
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
    }
    try {
      return await fetch(url, { method, headers: named, ...(body === undefined ? {} : { body: Buffer.from(body) }) })
    } catch (error) {
      throw networkFailure(error)
    }
  }

  async #authorize(challenge: string): Promise<string> {
    const basic = this.#basic()
    if (/^basic/i.test(challenge)) return basic ?? refuse(this.#host)
    const parts = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]))
    const url = new URL(parts['realm'] ?? '')
    for (const name of ['service', 'scope']) if (parts[name] !== undefined) url.searchParams.set(name, parts[name])
    const response = await fetch(url, basic === undefined ? {} : { headers: { authorization: basic } })
    if (response.status !== 200) return refuse(this.#host)
    const { token, access_token: other } = (await response.json()) as { token?: string; access_token?: string }
    return `Bearer ${token ?? other ?? ''}`
  }

  /** From the environment, then from Docker's file. */
  #basic(): string | undefined {
    const { TART_REGISTRY_HOSTNAME: host, TART_REGISTRY_USERNAME: user, TART_REGISTRY_PASSWORD: password } = process.env
    if (user !== undefined && password !== undefined && (host === undefined || host === this.#host)) {
      return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    }
    try {
      const file = JSON.parse(readFileSync(join(homedir(), '.docker/config.json'), 'utf8')) as { auths?: Record<string, { auth?: string }> }
      const auth = file.auths?.[this.#host]?.auth
      return auth === undefined ? undefined : `Basic ${auth}`
    } catch {
      // No such file.
      return undefined
    }
  }
}

function refuse(host: string): never {
  throw new RuntimeFailure(`authentication failed: no credentials for ${host} were accepted`)
}

function networkFailure(error: unknown): NetworkFailure {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
  return new NetworkFailure(`The network connection was lost. (${cause})`)
}

async function whole(response: Response): Promise<Uint8Array> {
  try {
    return new Uint8Array(await response.arrayBuffer())
  } catch (error) {
    throw networkFailure(error)
  }
}
