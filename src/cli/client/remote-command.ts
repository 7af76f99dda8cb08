import { CideryError } from '../../model/errors.ts'
import type { Cli } from '../cli.ts'
import type { Api } from './api.ts'
import type { Socket } from './transport.ts'

export interface RemoteCommand {
  readonly sandboxId: string
  readonly command: readonly string[]
  /** With a terminal on the other side: keys go as they are typed, and the size of ours is passed on. */
  readonly tty: boolean
}

/**
 * Runs a command in a sandbox with our input and output, and resolves with its exit code: 128 + n when a signal ended it. With a
 * terminal, `~.` after a line break leaves a connection that does not answer any more.
 */
export async function runRemote(cli: Cli, api: Api, { sandboxId, command, tty }: RemoteCommand): Promise<number> {
  const { streamId } = await api.call<{ readonly streamId: string }>('POST', `/sandboxes/${sandboxId}/streams`, {
    body: { command, tty },
    idempotencyKey: api.newKey(),
  })
  const socket = await api.socket(`/streams/${streamId}`)
  const stopResize = tty ? passSize(cli, socket) : () => undefined
  const input = passInput(cli, socket, tty)
  try {
    const code = await passOutput(cli, socket, input.left)
    if (code !== undefined) return code
    throw new CideryError('UNAVAILABLE', 'the connection ended before the command did', {
      hint: 'cidery sandbox ls shows whether it still runs',
    })
  } finally {
    stopResize()
    input.stop()
    socket.close()
  }
}

function passSize(cli: Cli, socket: Socket): () => void {
  const tell = (columns: number, rows: number) => void socket.send(JSON.stringify({ resize: { columns, rows } })).catch(() => undefined)
  tell(cli.stdout.columns, cli.stdout.rows)
  return cli.stdout.onResize(tell)
}

interface InputPass {
  /** Resolves when the person typed the escape. */
  readonly left: Promise<'left'>
  stop(): void
}

function passInput(cli: Cli, socket: Socket, tty: boolean): InputPass {
  const stopped = { value: false }
  const leave: { now: (value: 'left') => void } = { now: () => undefined }
  const left = new Promise<'left'>((resolve) => {
    leave.now = resolve
  })
  const pump = async () => {
    const watch = escapeWatch()
    for await (const chunk of cli.stdin.readRaw()) {
      if (stopped.value) return
      if (tty && watch(chunk)) return leave.now('left')
      await socket.send(chunk)
    }
    if (!stopped.value) await socket.send(JSON.stringify({ eof: true }))
  }
  // A socket that closed under the pump is told by the reading side, with the exit code if there is one.
  pump().catch(() => undefined)
  return {
    left,
    stop: () => {
      stopped.value = true
    },
  }
}

/** True once `~.` was typed at the start of a line. */
function escapeWatch(): (chunk: Uint8Array) => boolean {
  let before = '\r\n'
  return (chunk) => {
    for (const byte of chunk) {
      before = `${before.slice(-2)}${String.fromCharCode(byte)}`
      if (/[\r\n]~\.$/.test(before)) return true
    }
    return false
  }
}

/** Writes what comes until the exit message; undefined when the connection ends without one. */
async function passOutput(cli: Cli, socket: Socket, left: Promise<'left'>): Promise<number | undefined> {
  const messages = socket.messages[Symbol.asyncIterator]()
  for (;;) {
    const next = await Promise.race([messages.next(), left])
    if (next === 'left') return 130
    if (next.done === true) return undefined
    if (next.value.binary) await cli.stdout.write(next.value.data)
    else {
      const code = exitOf(Buffer.from(next.value.data).toString('utf8'))
      if (code !== undefined) return code
    }
  }
}

/** The exit code in `{"exit":{"code":0,"signal":null}}`; undefined for other messages. */
function exitOf(text: string): number | undefined {
  const message = JSON.parse(text) as { readonly exit?: { readonly code: number | null; readonly signal: number | null } }
  if (message.exit === undefined) return undefined
  return message.exit.code ?? 128 + (message.exit.signal ?? 0)
}
