import { createServer, type Server } from 'node:http'
import { CideryError } from '../model/errors.ts'
import type { AgentHealth } from '../observe/agent/health.ts'

export interface HealthAddress {
  readonly host: string
  readonly port: number
}

export interface HealthEndpoint {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves `GET /health` for what watches this host: 200 `OK`, or 503 with one reason a line. Throws UNAVAILABLE when the port is taken.
 */
export async function serveHealth(address: HealthAddress, health: () => AgentHealth): Promise<HealthEndpoint> {
  const server = createServer({ requestTimeout: 5000, headersTimeout: 5000 }, (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    response.setHeader('content-type', 'text/plain; charset=utf-8')
    response.setHeader('cache-control', 'no-store')
    if (pathname !== '/health' || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(404).end('not found: ask GET /health\n')
      return
    }
    const { ok, reasons } = health()
    response.writeHead(ok ? 200 : 503).end(ok ? 'OK\n' : `${reasons.join('\n')}\n`)
  })
  server.maxConnections = 100
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return {
    url: `http://${host}:${port}/health`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listen(server: Server, { host, port }: HealthAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new CideryError('UNAVAILABLE', `the health endpoint cannot listen on ${host}:${port}`, {
          cause,
          hint: 'choose another with --health HOST:PORT, or --health off',
        }),
      ),
    )
    server.listen(port, host, () => resolve())
  })
}
