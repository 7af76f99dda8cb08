import { connect, createServer, type Socket } from 'node:net'

export interface Point {
  /** From the client to the target, or back. */
  readonly direction: 'up' | 'down'
  /** After so many more bytes in that direction, over all connections. */
  readonly after: number
}

/** A line to a server of loopback that can be cut, held or disturbed at any byte. It knows nothing of HTTP: also headers can break off. */
export interface FaultyProxy {
  readonly url: string
  /** `127.0.0.1:port` */
  readonly host: string
  /** Bytes that came through since the start. */
  readonly passed: Readonly<Record<Point['direction'], number>>
  /** Ends all connections right behind that byte, once. */
  cut(point: Point): void
  /** From that byte on nothing comes through any more, and no connection is ended; new ones work. Once. */
  hold(point: Point): void
  /** Changes that byte, once. */
  flip(point: Point): void
  /** Points that were not reached yet. */
  pending(): number
  /** Forgets them, and ends the connections that are held. */
  calm(): void
  stop(): Promise<void>
}

type Armed = Point & { readonly kind: 'cut' | 'hold' | 'flip'; readonly at: number }

/** @example const proxy = await startFaultyProxy(real.url); proxy.cut({ direction: 'down', after: 1_000_000 }) */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const { hostname, port } = new URL(target)
  const pairs = new Set<readonly [Socket, Socket]>()
  const passed = { up: 0, down: 0 }
  let armed: Armed[] = []

  function arm(kind: Armed['kind'], point: Point): void {
    armed.push({ kind, ...point, at: passed[point.direction] + point.after })
  }

  /** The faults that lie in this piece, and what of it still goes through. */
  function disturbed(direction: Point['direction'], piece: Buffer): { readonly bytes: Buffer; readonly follows: Armed['kind'] | null } {
    const start = passed[direction]
    for (const fault of [...armed].sort((a, b) => a.at - b.at)) {
      if (fault.direction !== direction || fault.at >= start + piece.length) continue
      armed = armed.filter((other) => other !== fault)
      const at = Math.max(0, fault.at - start)
      if (fault.kind !== 'flip') return { bytes: piece.subarray(0, at), follows: fault.kind }
      piece.writeUInt8(piece.readUInt8(at) ^ 0xff, at)
    }
    return { bytes: piece, follows: null }
  }

  function pump(direction: Point['direction'], [from, to]: readonly [Socket, Socket]): void {
    let held = false
    from.on('data', (piece: Buffer) => {
      if (held) return
      const { bytes, follows } = disturbed(direction, piece)
      passed[direction] += bytes.length
      if (bytes.length > 0 && !to.write(bytes)) {
        from.pause()
        to.once('drain', () => from.resume())
      }
      if (follows === 'hold') {
        held = true
        // Nor is anything taken: who sends finds out that the line is full.
        from.pause()
      }
      if (follows === 'cut') cutAll()
    })
    from.on('end', () => {
      if (!held) to.end()
    })
  }

  /** What was written before goes out first: the cut is behind that byte, not somewhere before it. */
  function cutAll(): void {
    for (const pair of pairs) for (const socket of pair) socket.destroySoon()
    pairs.clear()
  }

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true })
    const pair = [client, upstream] as const
    pairs.add(pair)
    pump('up', [client, upstream])
    pump('down', [upstream, client])
    for (const socket of pair) {
      socket.on('error', () => undefined)
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroySoon()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const host = `127.0.0.1:${address.port}`

  return {
    url: `http://${host}`,
    host,
    passed,
    cut: (point) => arm('cut', point),
    hold: (point) => arm('hold', point),
    flip: (point) => arm('flip', point),
    pending: () => armed.length,
    calm() {
      armed = []
      cutAll()
    },
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const pair of pairs) for (const socket of pair) socket.destroy()
      await closed
    },
  }
}
