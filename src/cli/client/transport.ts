/** One HTTP exchange, with the body of the answer as a stream. */
export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  readonly signal?: AbortSignal | undefined
  /** Longest silence in ms, before the answer and between two of its bytes. */
  readonly idleMs: number
  /** Certificates (PEM) that may have signed the server's; without it those of the system. */
  readonly trust?: string | undefined
  /** Takes whatever certificate comes. Only to fetch the CA that is then compared with a known fingerprint; no credential travels. */
  readonly untrusted?: boolean
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Must be read to its end or left by `break`. Throws when the connection is cut before the answer is whole. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface SocketMessage {
  readonly binary: boolean
  readonly data: Uint8Array
}

/** A WebSocket that is open. */
export interface Socket {
  send(data: Uint8Array | string): Promise<void>
  /** Ends when the other side closes; throws when the connection breaks. */
  readonly messages: AsyncIterable<SocketMessage>
  close(): void
}

/** How the client reaches a controller. Errors of the network are thrown as they come, with their `code` (`ECONNREFUSED`). */
export interface Transport {
  send(request: HttpRequest): Promise<HttpAnswer>
  openSocket(request: Pick<HttpRequest, 'url' | 'headers' | 'trust' | 'signal'>): Promise<Socket>
}
