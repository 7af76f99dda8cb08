import { z } from 'zod'
import { route } from './route.ts'
import type { Route } from './route.ts'

/** What `/readyz` found: ready, or each reason why not. */
export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

const Health = z.strictObject({ status: z.literal('ok') })

/**
 * `/healthz`: the process answers. `/readyz`: the loop passes and the store writes, asked by `readiness`, which brings its own deadline; 503 with the reasons otherwise.
 * Both are public, so reasons name no host, user or path.
 */
export function healthRoutes(readiness: (signal: AbortSignal) => Promise<Readiness>): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/healthz',
      summary: 'Whether the process answers',
      tag: 'controller',
      access: 'public',
      response: Health,
      handler: async () => ({ status: 'ok' }),
    }),
    route({
      method: 'GET',
      path: '/readyz',
      summary: 'Whether the controller does its work: the loop passes and the store writes',
      tag: 'controller',
      access: 'public',
      response: 'raw',
      handler: async ({ reply, signal }) => {
        const found = await readiness(signal)
        await reply
          .code(found.ready ? 200 : 503)
          .type('application/json; charset=utf-8')
          .send(JSON.stringify(found))
      },
    }),
  ]
}

/** `GET /api/ca.pem`: the certificate that new hosts pin by its fingerprint. */
export function caRoutes(caPem: string): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/api/ca.pem',
      summary: 'The controller’s own CA certificate, to be checked against its fingerprint',
      tag: 'controller',
      access: 'public',
      response: 'raw',
      handler: async ({ reply }) => {
        await reply.type('application/x-pem-file').send(caPem)
      },
    }),
  ]
}
