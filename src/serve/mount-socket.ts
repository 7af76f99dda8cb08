import type { FastifyInstance } from 'fastify'
import { CideryError } from '../model/errors.ts'
import { callerOf } from './access/caller.ts'
import type { MountParts } from './mount.ts'
import type { SocketContext, SocketRoute } from './route.ts'

const goingAway = 1001
const internalError = 1011

/** Mounts one WebSocket: the gate asks for the credential during the upgrade, so that a stranger never gets a socket. */
export function mountSocket(
  app: FastifyInstance,
  route: SocketRoute,
  mount: { readonly prefix: string; readonly parts: MountParts },
): void {
  const { parts, prefix } = mount
  const path = prefix + route.path
  app.route({
    method: 'GET',
    url: path,
    onRequest: async (request) => {
      await parts.gate.admit(request, { access: route.access, method: 'GET', path })
      const isHere = route.exists?.(request.params as Record<string, string>) ?? true
      if (!isHere) throw new CideryError('NOT_FOUND', 'there is nothing here to connect to (any more)')
    },
    handler: async () => {
      throw new CideryError('INVALID_INPUT', 'this path is a WebSocket', { hint: 'connect with a WebSocket client' })
    },
    wsHandler: (socket, request) => {
      const closed = new AbortController()
      const stop = (): void => socket.close(goingAway, 'the controller is stopping')
      parts.stopping.addEventListener('abort', stop, { once: true })
      socket.once('close', () => {
        parts.stopping.removeEventListener('abort', stop)
        closed.abort()
      })
      socket.on('error', (error: Error) => parts.ports.log.debug('a WebSocket broke', { path, error }))
      const context = {
        principal: callerOf({ request }).principal,
        origin: request.ip,
        params: request.params as Record<string, string>,
        query: request.query as Record<string, unknown>,
        signal: closed.signal,
      }
      void connect(context)

      async function connect(context: SocketContext): Promise<void> {
        try {
          await route.connected(socket, context)
        } catch (error) {
          parts.ports.log.error('a WebSocket failed for a fault of the controller', { path, requestId: request.id, error })
          socket.close(internalError, 'a fault of the controller')
        }
      }
    },
  })
}
