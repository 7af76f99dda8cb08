import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'

/** A log file that stops at a size with a mark that says so; what comes after is counted out, not kept. */
export class SupervisedLog {
  readonly #file: number
  readonly #limit: number
  #length = 0
  #cut = false

  constructor(path: string, limitBytes: number) {
    this.#file = openSync(path, 'a', 0o600)
    this.#limit = limitBytes
  }

  get length(): number {
    return this.#length
  }

  get isCut(): boolean {
    return this.#cut
  }

  append(bytes: Uint8Array): void {
    if (this.#cut) return
    const room = this.#limit - this.#length
    this.#write(bytes.subarray(0, room))
    if (bytes.length > room) this.#end(`the log was cut after ${this.#limit} bytes`)
  }

  /** A line of ours in the job's log. */
  say(line: string): void {
    if (!this.#cut) this.#write(Buffer.from(`\n[cidery: ${line}]\n`))
  }

  close(): void {
    fsyncSync(this.#file)
    closeSync(this.#file)
  }

  #end(why: string): void {
    this.say(why)
    this.#cut = true
  }

  #write(bytes: Uint8Array): void {
    try {
      for (let sent = 0; sent < bytes.length;) {
        const written = writeSync(this.#file, bytes, sent)
        sent += written
        this.#length += written
      }
    } catch {
      // The disk is full: the job goes on, its log does not.
      this.#cut = true
    }
  }
}
