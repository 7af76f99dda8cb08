import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { CideryError } from '../../model/errors.ts'

/** Whether an address or host name reaches only this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase()
  if (name === 'localhost' || name === '::1') return true
  const mapped = name.startsWith('::ffff:') ? name.slice(7) : name
  return isIP(mapped) === 4 && mapped.startsWith('127.')
}

/** Host name of a `Host` header without its port; undefined when it is none. */
function hostName(header: string | undefined): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i.exec(header ?? '')
  return match?.[1]?.toLowerCase()
}

/**
 * On loopback a request must name this machine: a page of another site that had its name pointed at 127.0.0.1 (DNS rebinding) does not.
 * Elsewhere TLS does this: such a name is in no certificate of ours.
 */
export function checkHost(request: FastifyRequest, options: { readonly loopbackOnly: boolean; readonly names: ReadonlySet<string> }): void {
  const name = hostName(request.headers.host)
  if (name === undefined) throw new CideryError('INVALID_INPUT', 'the Host header is missing or not a host name')
  if (!options.loopbackOnly || isLoopback(name) || options.names.has(name)) return
  throw new CideryError('WRONG_HOST', 'the request names a host that is not this controller', {
    hint: 'use http://localhost and the controller’s port',
  })
}

/**
 * Whether the page that sent a request is one of ours. Browsers add Origin to every write and to every WebSocket; `null` (sandboxed frames, files) is not ours.
 */
export function isOwnOrigin(
  request: FastifyRequest,
  options: { readonly secure: boolean; readonly origins: ReadonlySet<string> },
): boolean {
  const origin = request.headers.origin
  if (origin === undefined) return false
  return origin === `${options.secure ? 'https' : 'http'}://${request.headers.host ?? ''}` || options.origins.has(origin)
}
