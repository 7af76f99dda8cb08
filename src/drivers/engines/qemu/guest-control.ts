import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'

/** Longest line that a guest may say; a job cannot speak here, but an image may be broken. */
const longestLine = 65_536

/**
 * The engine's end of a machine's port `cidery.control`: lines both ways. What the guest answers to is written down at the top of
 * `debian/guest`.
 */
export class GuestControl {
  readonly #socket: Socket
  readonly #lines: string[] = []
  #rest = ''
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#wake())
  }

  /** Connects to the socket, which is there a moment after its process began. */
  static async open(path: string, limitMs: number): Promise<GuestControl> {
    const until = performance.now() + limitMs
    for (;;) {
      const socket = await tryConnect(path)
      if (socket !== null) return new GuestControl(socket)
      if (performance.now() > until) throw new CideryError('UNAVAILABLE', `nothing listens on ${path}`)
      await sleep(10)
    }
  }

  say(line: string): void {
    this.#socket.write(`${line}\n`)
  }

  /** Waits for a line that begins with a word, and gives the rest of it; others are passed over. Rejects when the guest refuses, goes, or takes too long. */
  async hear(word: string, limitMs: number): Promise<string> {
    const until = performance.now() + limitMs
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        const [verb, ...words] = line.split(' ')
        if (verb === word) return words.join(' ')
        if (verb === 'refused') throw new CideryError('ENGINE_FAILED', `the machine refused: ${words.join(' ').slice(0, 300)}`)
      }
      const left = until - performance.now()
      if (left <= 0) throw new CideryError('UNAVAILABLE', `the machine did not say ${word} within ${Math.round(limitMs / 1000)} s`)
      if (this.#socket.destroyed) throw new CideryError('UNAVAILABLE', `the machine went before it said ${word}`)
      await this.#change(left)
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  #change(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, limitMs)
      function done(): void {
        clearTimeout(timer)
        resolve()
      }
      this.#wake = done
    })
  }

  #take(text: string): void {
    const lines = `${this.#rest}${text}`.split('\n')
    this.#rest = (lines.pop() ?? '').slice(-longestLine)
    this.#lines.push(...lines)
    this.#wake()
  }
}

function tryConnect(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => {
      socket.destroy()
      resolve(null)
    })
  })
}

/** A guest writes its disks and ends its processes within this, on top of the grace; then it is switched off all the same. */
const endMs = 30_000

/** Ends the job's processes (TERM, `graceMs`, KILL) and has the disks written. A guest that does not answer is left as it is. */
export async function endInside(path: string, graceMs: number): Promise<void> {
  let control: GuestControl | undefined
  try {
    control = await GuestControl.open(path, 1000)
    control.say(`end ${Math.max(0, Math.round(graceMs))}`)
    await control.hear('ended', graceMs + endMs)
  } catch {
    // It hangs, or is just going.
  } finally {
    control?.close()
  }
}

/** Ends all that runs in the machine of a build and leaves its disk whole and read-only; ENGINE_FAILED or UNAVAILABLE when that is not said in time. */
export async function closeDown(path: string, limitMs: number): Promise<void> {
  const control = await GuestControl.open(path, 5000)
  try {
    control.say('close')
    await control.hear('closed', limitMs)
  } finally {
    control.close()
  }
}
