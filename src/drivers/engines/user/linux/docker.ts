import { existsSync } from 'node:fs'
import { request } from 'node:http'

/** Label that ties containers, volumes and networks to the sandbox whose job made them; its value is the sandbox's id. */
export const dockerLabel = 'cidery.sandbox'

export interface DockerThing {
  readonly kind: 'container' | 'volume' | 'network'
  readonly name: string
}

const requestTimeoutMs = 30_000

/** One call to the Docker engine by its socket; the path without a version is served by every engine. */
function call(socketPath: string, method: 'GET' | 'DELETE', path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, headers: { Host: 'docker' }, timeout: requestTimeoutMs }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8')
        const status = response.statusCode ?? 0
        if (status < 300 || status === 404) resolve(text)
        else reject(new Error(`docker answered ${status}: ${text.slice(0, 200)}`))
      })
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error(`docker did not answer within ${requestTimeoutMs / 1000} s`)))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

interface Listed {
  readonly Id?: string
  readonly Name?: string
}

async function list(socketPath: string, id: string): Promise<readonly DockerThing[]> {
  const filters = `filters=${encodeURIComponent(JSON.stringify({ label: [`${dockerLabel}=${id}`] }))}`
  const containers = JSON.parse(await call(socketPath, 'GET', `/containers/json?all=1&${filters}`)) as readonly Listed[]
  const volumes = JSON.parse(await call(socketPath, 'GET', `/volumes?${filters}`)) as { readonly Volumes?: readonly Listed[] | null }
  const networks = JSON.parse(await call(socketPath, 'GET', `/networks?${filters}`)) as readonly Listed[]
  // In the order in which they can be removed: a volume or network in use cannot.
  return [
    ...containers.map(({ Id = '' }) => ({ kind: 'container', name: Id }) as const),
    ...(volumes.Volumes ?? []).map(({ Name = '' }) => ({ kind: 'volume', name: Name }) as const),
    ...networks.map(({ Id = '' }) => ({ kind: 'network', name: Id }) as const),
  ]
}

const removalPath = {
  container: (name: string) => `/containers/${name}?force=1&v=1`,
  volume: (name: string) => `/volumes/${name}?force=1`,
  network: (name: string) => `/networks/${name}`,
} as const satisfies Record<DockerThing['kind'], (name: string) => string>

/** Containers, volumes and networks of a sandbox; none where no Docker engine listens. Throws when one listens and does not answer. */
export async function dockerThings(socketPath: string, id: string): Promise<readonly DockerThing[]> {
  if (!existsSync(socketPath)) return []
  try {
    return await list(socketPath, id)
  } catch (error) {
    // A socket that nobody listens on any more: there is no engine that could run anything.
    if (['ECONNREFUSED', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}

/** Removes them, the containers first; what resists is found by the next look. */
export async function removeDockerThings(socketPath: string, id: string): Promise<void> {
  for (const { kind, name } of await dockerThings(socketPath, id)) {
    await call(socketPath, 'DELETE', removalPath[kind](encodeURIComponent(name))).catch(() => undefined)
  }
}
