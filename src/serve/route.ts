import type { FastifyReply, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import type { Principal, Scope } from '../model/identity.ts'
import type { Writer } from '../ports/store.ts'

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
  /**
   * Runs a write of the store. With an `Idempotency-Key` on an `idempotent` route the answer that `work` returns is remembered in the same
   * transaction, and a repeated request gets it without `work` being run: so a create is made once, however often it is sent.
   * `work` returns the body of the answer and may run again after a conflict.
   */
  readonly write: <T>(work: (tx: Writer) => Promise<T>) => Promise<T>
  /** The octet-stream of a `'bytes'` route, cut with PAYLOAD_TOO_LARGE above the route's `bodyLimit`. */
  readonly bytes: () => AsyncIterable<Uint8Array>
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
export interface Route<
  P extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  B extends z.ZodType = z.ZodType,
  R extends z.ZodType = z.ZodType,
> {
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
  /** Bytes of body at most; default 1 MiB for JSON and 64 MiB for `'bytes'`. */
  readonly bodyLimit?: number
  /** Creates: with an `Idempotency-Key` the first answer is stored and repeated for a day. The handler creates inside `context.write`. */
  readonly idempotent?: boolean
  readonly handler: (context: RouteContext, input: RouteInput<z.infer<P>, z.infer<Q>, z.infer<B>>) => Promise<unknown>
}

/** One WebSocket. The caller is known and allowed before `connected` is called; browsers are held to our own origin. */
export interface SocketRoute {
  /** Below `/api/v1`, with `:names`. */
  readonly path: string
  readonly summary: string
  readonly access: Exclude<RouteAccess, 'public'>
  /** Asked before the upgrade; NOT_FOUND sends the caller on to another controller. */
  readonly exists?: (params: Readonly<Record<string, string>>) => boolean
  readonly connected: (socket: WebSocket, context: SocketContext) => void | Promise<void>
}

export interface SocketContext {
  readonly principal: Principal
  readonly origin: string
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, unknown>>
  /** Aborted when the socket closed or the server stops. */
  readonly signal: AbortSignal
}

/** Gives a route its types by inference. */
export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>(
  definition: Route<P, Q, B, R>,
): Route {
  return definition
}
