import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { seededRandom } from '../../src/simulate/random.ts'

/** What lies between a browser and its controller on a bad day. */
export interface LossyProxy {
  readonly url: string
  /** Resolves when a GET of this path that began after the call was answered. */
  nextLook(path: string): Promise<void>
  /** Events that never arrived. */
  dropped(): number
  close(): Promise<void>
}

/** Passes requests on as they are, but loses most frames of event streams and cuts some streams; which ones follows from the seed. */
export async function startLossyProxy(target: string, seed: number): Promise<LossyProxy> {
  const random = seededRandom(seed)
  const looks = new Map<string, (() => void)[]>()
  let dropped = 0

  function passStream(from: IncomingMessage, to: ServerResponse): void {
    let text = ''
    from.setEncoding('utf8')
    from.on('data', (piece: string) => {
      text += piece
      const frames = text.split('\n\n')
      text = frames.pop() ?? ''
      for (const frame of frames) {
        if (!frame.startsWith('id:') || random.fraction() < 0.2) to.write(`${frame}\n\n`)
        else dropped += 1
        if (random.fraction() < 0.1) to.destroy()
      }
    })
  }

  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '/'
    const waiting = incoming.method === 'GET' ? (looks.get(path)?.splice(0) ?? []) : []
    const passed = request(new URL(path, target), { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      if (path.startsWith('/api/v1/events')) passStream(answer, outgoing)
      else answer.pipe(outgoing)
    })
    passed.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      passed.destroy()
      for (const seen of waiting) seen()
    })
    incoming.pipe(passed)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    nextLook: (path) => new Promise((resolve) => looks.set(path, [...(looks.get(path) ?? []), resolve])),
    dropped: () => dropped,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
