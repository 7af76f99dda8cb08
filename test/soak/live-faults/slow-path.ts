import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A way to a controller on which bytes can be held up. */
export interface SlowPath {
  /**
   * Holds each piece of each connection for a random time, at most so many ms. Within a connection the order stays, as TCP promises; what went over
   * two connections arrives in any order. 0: nothing is held.
   */
  hold(atMostMs: number): void
  close(): Promise<void>
}

export interface SlowPathOptions {
  readonly host: string
  readonly port: number
  readonly target: number
  readonly random: () => number
}

export async function openSlowPath({ host, port, target, random }: SlowPathOptions): Promise<SlowPath> {
  let atMostMs = 0
  const sockets = new Set<Socket>()

  async function carry(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const piece of from) {
        if (atMostMs > 0) await sleep(random() * atMostMs)
        if (!to.write(piece as Buffer)) await once(to, 'drain')
      }
      to.end()
    } catch {
      // One of the two was reset: so is the other.
      from.destroy()
      to.destroy()
    }
  }
  function keep(socket: Socket): Socket {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

  const server = createServer({ allowHalfOpen: true }, (near) => {
    const distant = connect({ host, port: target, allowHalfOpen: true })
    void carry(keep(near), keep(distant))
    void carry(distant, near)
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  return {
    hold(ms) {
      atMostMs = ms
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
