import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { CideryError } from '../../../model/errors.ts'
import type { Milliseconds } from '../../../model/instant.ts'
import type { Timers } from '../../../ports/time.ts'
import { Passing } from './passing.ts'

/** A request under watch: cut when its signal is aborted, or when the other side is silent while we wait for it. */
export interface Line {
  readonly silenceMs: Milliseconds
  /** Waits for a connection, as long as one may take to be made. */
  connected(): Promise<void>
  /** Waits at most so long, then cuts the connection. */
  within<T>(ms: Milliseconds, waited: Promise<T>): Promise<T>
  /** What an error of the connection comes to. */
  broken(error: unknown): unknown
  /** Nobody watches any more, and what is left unsent stays so. */
  end(): void
  ended(): boolean
}

export interface LineOptions {
  readonly timers: Timers
  readonly silenceMs: Milliseconds
  readonly signal: AbortSignal
}

const connectMs = 15_000
/** Silences that a request waits for one of the connections to a host. */
const mostQueued = 10
const certificateFaults = /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED|UNABLE_TO_|ERR_SSL_|EPROTO)/

export function createLine(request: ClientRequest, { timers, silenceMs, signal }: LineOptions): Line {
  let silent: string | undefined
  let over = false

  function onAbort(): void {
    request.destroy(signal.reason instanceof Error ? signal.reason : new Error('the request was aborted'))
  }
  signal.addEventListener('abort', onAbort, { once: true })

  async function within<T>(ms: Milliseconds, waited: Promise<T>, what = 'no byte'): Promise<T> {
    const timer = timers.after(ms, () => {
      silent = `${what} for ${ms / 1000} s`
      request.destroy(new Error(silent))
    })
    try {
      return await waited
    } finally {
      timer.cancel()
    }
  }

  return {
    silenceMs,
    async connected() {
      // Others may have to be done with their connections first.
      const socket = await within(mostQueued * silenceMs, socketOf(request), 'no connection became free')
      if (socket?.connecting === true) await within(connectMs, connection(request, socket), 'no connection')
    },
    within,
    broken(error) {
      if (signal.aborted) return signal.reason as unknown
      return silent === undefined ? faultOf(request, error) : new Passing(silent)
    },
    end() {
      if (over) return
      over = true
      signal.removeEventListener('abort', onAbort)
      if (!request.writableEnded) request.destroy()
    },
    ended: () => over,
  }
}

/** Errors of the connection as Passing or, where trying again is no use, as CideryError; any other as it is. */
function faultOf(request: ClientRequest, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof CideryError || error instanceof Passing) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) return isOfConnection(error) ? new Passing(error.message, { cause: error }) : error
  if (certificateFaults.test(code)) {
    return new CideryError('UNAVAILABLE', `the certificate of ${request.host} is not accepted: ${code}`, {
      cause: error,
      hint: 'name the CA that signed it in caFile, if it is yours',
    })
  }
  // The registry closed a connection that was kept open, at the moment when it was used again.
  const afterMs = request.reusedSocket && code === 'ECONNRESET' ? 0 : null
  return new Passing(`the connection broke: ${code}`, { cause: error, afterMs })
}

function isOfConnection(error: Error): boolean {
  return /socket hang up|aborted|closed before an answer|Parse Error/.test(error.message)
}

function socketOf(request: ClientRequest): Promise<Socket | null> {
  if (request.socket !== null && request.socket !== undefined) return Promise.resolve(request.socket)
  return new Promise((resolve) => {
    request.once('socket', resolve)
    request.once('close', () => resolve(null))
  })
}

/** Resolves also when it failed: the request's own error says why. */
function connection(request: ClientRequest, socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => resolve())
    request.once('close', () => resolve())
  })
}
