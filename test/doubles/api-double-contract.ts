import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { HostView, JobView, OperationView, SandboxView } from '../../src/model/api.ts'
import type { ErrorCode } from '../../src/model/errors.ts'

/** How a job of the double goes: its log piece by piece, and its end. */
export interface Play {
  readonly attempts: readonly {
    readonly pieces: readonly (string | Uint8Array)[]
    readonly outcome: NonNullable<JobView['outcome']>
    readonly artifacts?: readonly { readonly path: string; readonly content: string; readonly mode?: number }[]
  }[]
  readonly pieceMs?: number
}

export interface DoubleRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  readonly bytes: Uint8Array
}

export interface DoubleAnswer {
  readonly status: number
  readonly body: unknown
}

export interface DoubleState {
  readonly jobs: Map<string, JobView>
  readonly logs: Map<string, Uint8Array>
  readonly hosts: Map<string, HostView>
  readonly operations: Map<string, OperationView>
  readonly sandboxes: Map<string, SandboxView>
  readonly uploads: Map<string, { readonly digest: string; readonly sizeBytes: number; bytes: Uint8Array }>
  readonly blobs: Map<string, Uint8Array>
  readonly created: Map<string, DoubleAnswer>
  specSource: string
  specGeneration: number
  play: (spec: JobView['spec']) => Play
}

/** What goes wrong, for tests of the client. Each is asked once per request. */
export interface Faults {
  /** The request is carried out and its answer lost. */
  loseAnswer: (request: DoubleRequest) => boolean
  /** Answered with this error. */
  refuse: (request: DoubleRequest) => ErrorCode | undefined
  /** A followed log is cut after so many bytes of a connection. */
  cutLogAfter: number
}

export interface RouteParts {
  readonly state: DoubleState
  readonly faults: Faults
  readonly params: readonly string[]
  readonly request: DoubleRequest
  readonly outgoing: ServerResponse
}

export interface DoubleRoute {
  readonly method: string
  readonly path: RegExp
  readonly body?: z.ZodType
  readonly query?: z.ZodType
  /** Left out by handlers that write the answer themselves. */
  readonly response?: z.ZodType
  readonly status?: number
  readonly ifMatch?: true
  readonly handle: (parts: RouteParts, body: unknown) => unknown
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
