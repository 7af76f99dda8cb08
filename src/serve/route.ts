import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Principal, Scope } from '../model/identity.ts'

/** Who may call: anyone, anyone with a credential, a host with its own key, or people and tokens with a scope. */
export type RouteAccess = 'public' | 'signedIn' | 'host' | Scope

/** What a handler gets besides its checked input. */
export interface RouteContext {
  readonly principal: Principal
  /** Address of the caller, for the journal. */
  readonly origin: string
  /** Generation from `If-Match`; null when the request had none. */
  readonly ifMatch: number | null
  /** Aborted when the caller went away or the server stops. */
  readonly signal: AbortSignal
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

export interface RouteInput<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
}

/**
 * One HTTP route, declared once: input checks, access, OpenAPI entry and handler. `serve/server.ts` mounts it under `/api/v1`.
 * A handler returns the body (checked against `response`), or sends by `reply` itself when `response` is `'raw'`.
 */
export interface Route<P extends z.ZodType = z.ZodType, Q extends z.ZodType = z.ZodType, B extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly summary: string
  readonly tag: string
  readonly access: RouteAccess
  readonly params?: P
  readonly query?: Q
  /** `'bytes'`: an octet-stream that the handler reads from `context.request.raw` itself. */
  readonly body?: B | 'bytes'
  readonly response: R | 'raw' | 'empty'
  /** Default 200; 201 for creates, 204 for `empty`. */
  readonly status?: number
  /** `required`: 428 without If-Match. */
  readonly ifMatch?: 'required'
  /** Creates: with an `Idempotency-Key` the first answer is stored and repeated for a day. */
  readonly idempotent?: boolean
  readonly handler: (context: RouteContext, input: RouteInput<z.infer<P>, z.infer<Q>, z.infer<B>>) => Promise<unknown>
}

/** Gives a route its types by inference. */
export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(definition: Route<P, Q, B, R>): Route {
  return definition as unknown as Route
}
