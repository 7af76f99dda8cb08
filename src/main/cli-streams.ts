import type { ReadStream, WriteStream } from 'node:tty'
import type { In, Out } from '../cli/cli.ts'

/** Wraps stdout or stderr; a reader that went away ends the process quietly, as a broken pipe does. */
export function outOf(stream: NodeJS.WriteStream, forcedColumns: number | undefined): Out {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // 141 = 128 + SIGPIPE, what a shell shows for a program whose reader left.
    if (error.code === 'EPIPE') process.exit(141)
    throw error
  })
  const terminal = stream as Partial<WriteStream> & NodeJS.WriteStream
  return {
    isTTY: stream.isTTY || forcedColumns !== undefined,
    get columns() {
      return forcedColumns ?? terminal.columns ?? 80
    },
    get rows() {
      return terminal.rows ?? 24
    },
    write: (data) =>
      new Promise((resolve) => {
        if (stream.write(data)) resolve()
        else stream.once('drain', resolve)
      }),
    onResize(listener) {
      const heard = () => listener(terminal.columns ?? 80, terminal.rows ?? 24)
      stream.on('resize', heard)
      return () => stream.off('resize', heard)
    },
  }
}

/** Wraps stdin; it is not touched before something reads, so that a command without input never waits for one. */
export function inOf(stderr: NodeJS.WriteStream): In {
  return {
    get isTTY() {
      return process.stdin.isTTY
    },
    async readAll(limit) {
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
        size += chunk.byteLength
        if (size > limit) throw new RangeError(`the input is longer than ${limit} bytes`)
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    },
    async readLine(prompt, { echo }) {
      stderr.write(prompt)
      return readTypedLine(process.stdin, (text) => void (echo && stderr.write(text))).finally(() => stderr.write('\n'))
    },
    readRaw: () => readRaw(process.stdin),
  }
}

async function readTypedLine(stdin: ReadStream, show: (text: string) => void): Promise<string> {
  let line = ''
  for await (const chunk of readRaw(stdin)) {
    for (const character of Buffer.from(chunk).toString('utf8')) {
      if (character === '\r' || character === '\n') return line
      if (character === '\u0003' || (character === '\u0004' && line === ''))
        throw Object.assign(new Error('cancelled'), { code: 'PROMPT_CANCELLED' })
      if (character === '\u007f' || character === '\b') {
        if (line !== '') show('\b \b')
        line = [...line].slice(0, -1).join('')
      } else if (character >= ' ') {
        line += character
        show(character)
      }
    }
  }
  return line
}

async function* readRaw(stdin: ReadStream): AsyncIterable<Uint8Array> {
  if (stdin.isTTY) stdin.setRawMode(true)
  try {
    for await (const chunk of stdin.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) yield chunk
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.pause()
  }
}
