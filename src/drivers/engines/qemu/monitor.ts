import { chmodSync, chownSync, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { CideryError } from '../../../model/errors.ts'

/** A line of QEMU's machine protocol, as far as it is looked at. Source: docs/interop/qmp-spec.txt of QEMU 7.2. */
const Line = z.object({
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
  event: z.string().optional(),
})

const Migration = z.object({ status: z.string().optional(), 'error-desc': z.string().optional() })

/** Speaks to the monitor of a machine, one command at a time. */
class Monitor {
  readonly #socket: Socket
  readonly #lines: AsyncIterator<string>

  constructor(socket: Socket) {
    this.#socket = socket
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  }

  async ask(command: string, words: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: words })}\n`)
    for (;;) {
      const next = await this.#lines.next()
      if (next.done === true) throw new CideryError('ENGINE_FAILED', `the machine went before it answered ${command}`)
      const line = Line.parse(JSON.parse(next.value))
      if (line.error !== undefined) throw new CideryError('ENGINE_FAILED', `the machine refused ${command}: ${line.error.desc}`)
      // Greeting and events come in between.
      if (line.return !== undefined) return line.return
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}

export interface Saving {
  /** Socket of the machine's monitor. */
  readonly monitor: string
  /** Where its memory goes. */
  readonly file: string
  /** Who the machine's process is; null when it is of this process's own user. */
  readonly uid: number | null
  readonly limitMs: number
}

/**
 * Has a machine send its state, and end. It must be running, so that what starts from the state runs as well; its disks are as the state knows them from then
 * on. Throws when that takes longer than the limit.
 */
export async function saveState({ monitor: path, file, uid, limitMs }: Saving): Promise<void> {
  const late = AbortSignal.timeout(limitMs)
  const socket = connect(path)
  socket.on('error', () => undefined)
  late.addEventListener('abort', () => socket.destroy())
  const monitor = new Monitor(socket)
  const receiver = await receive(file, { uid, signal: late })
  try {
    await monitor.ask('qmp_capabilities')
    await monitor.ask('migrate-set-parameters', { 'max-bandwidth': 2 ** 40 })
    await monitor.ask('migrate', { uri: `unix:${receiver.path}` })
    for (;;) {
      const { status, 'error-desc': reason } = Migration.parse(await monitor.ask('query-migrate'))
      if (status === 'completed') break
      if (status === 'failed' || status === 'cancelled')
        throw new CideryError('ENGINE_FAILED', `the state was not saved: ${reason ?? status}`)
      await sleep(20)
    }
    await monitor.ask('quit')
    await receiver.done
  } finally {
    monitor.close()
    receiver.remove()
  }
}

interface Receiver {
  readonly path: string
  readonly done: Promise<void>
  remove(): void
}

/**
 * Writes what one connection sends to a file. The process of a machine enters none of the engine's directories, so its way here is a socket in a directory
 * of its own that holds nothing else, and that only its user can connect to.
 */
async function receive(file: string, { uid, signal }: { readonly uid: number | null; readonly signal: AbortSignal }): Promise<Receiver> {
  const directory = mkdtempSync(join(tmpdir(), 'cidery-state-'))
  chmodSync(directory, 0o711)
  const path = join(directory, 'socket')
  const server = createServer()
  const done = new Promise<void>((resolve, reject) => {
    server.once('connection', (socket) => {
      pipeline(socket, createWriteStream(file, { mode: 0o600 }), { signal }).then(resolve, reject)
    })
  })
  // Whoever waits for it hears of it; a machine that never connects has said why before.
  done.catch(() => undefined)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  chmodSync(path, 0o600)
  if (uid !== null) chownSync(path, uid, uid)
  return {
    path,
    done,
    remove() {
      server.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
