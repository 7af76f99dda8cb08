import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What lies between a registry and who asks it. */
export interface NastyProxy {
  /** `127.0.0.1:port`. */
  readonly host: string
  /** Answers of the registry on the way to who asked: change them, or give null to cut the connection after `cutAfter` bytes. */
  change: (path: string, body: Buffer) => Buffer | { readonly cutAfter: number }
  /** Ranges are answered with everything, as some registries do. */
  ignoresRanges: boolean
  /** `GET /v2/… bytes=0-`, in order. */
  readonly asked: string[]
  /** Blobs that the registry has taken. */
  takenBlobs: number
  stop(): Promise<void>
}

/** A proxy in front of a registry that changes what it answers to GET. */
export async function startNastyProxy(registryUrl: string): Promise<NastyProxy> {
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : new Error(String(error))))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const proxy: NastyProxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    change: (_, body) => body,
    ignoresRanges: false,
    asked: [],
    takenBlobs: 0,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => {
        server.close(resolve)
      })
    },
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request
    proxy.asked.push(`${method} ${url} ${request.headers.range ?? ''}`.trim())
    const real = await passOn(request, `${registryUrl}${url}`, proxy.ignoresRanges)
    proxy.takenBlobs += Number(isTaken(method, real))
    const body = Buffer.from(await real.arrayBuffer())
    const changed = method === 'GET' ? proxy.change(url, body) : body
    const given = Buffer.isBuffer(changed) ? changed : body
    const length = method === 'HEAD' ? (real.headers.get('content-length') ?? '0') : String(given.length)
    const location = real.headers.get('location')?.replace(registryUrl, `http://${proxy.host}`)
    response.writeHead(real.status, { ...answered(real), ...(location === undefined ? {} : { location }), 'content-length': length })
    if (!Buffer.isBuffer(changed)) response.write(body.subarray(0, changed.cutAfter), () => response.destroy())
    else if (method === 'HEAD') response.end()
    else response.end(changed)
  }

  return proxy
}

const ofTheWay = new Set(['host', 'connection', 'content-length', 'transfer-encoding', 'location'])

async function passOn(request: IncomingMessage, url: string, ignoresRanges: boolean): Promise<Response> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const passed = Object.entries(request.headers).filter(([name]) => !ofTheWay.has(name) && !(ignoresRanges && name === 'range'))
  const body = parts.length === 0 ? {} : { body: Buffer.concat(parts) }
  return fetch(url, {
    method: request.method ?? 'GET',
    headers: Object.fromEntries(passed) as Record<string, string>,
    ...body,
    redirect: 'manual',
  })
}

function isTaken(method: string, { status, url }: Response): boolean {
  return method === 'PUT' && status === 201 && url.includes('/blobs/')
}

function answered(real: Response): Readonly<Record<string, string>> {
  return Object.fromEntries([...real.headers].filter(([name]) => !ofTheWay.has(name)))
}
