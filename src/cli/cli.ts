import type { Random } from '../ports/random.ts'
import type { Clock, Timers } from '../ports/time.ts'
import type { Transport } from './client/transport.ts'

export const outputFormats = ['table', 'wide', 'json', 'yaml', 'name'] as const
export type OutputFormat = (typeof outputFormats)[number]

/** Where a command writes: data on stdout, talk on stderr. A write resolves when the reader has room for more. */
export interface Out {
  readonly isTTY: boolean
  readonly columns: number
  write(data: string | Uint8Array): Promise<void>
  /** Calls back when the size of the terminal changed; returns how to stop. */
  onResize(listener: (columns: number, rows: number) => void): () => void
  readonly rows: number
}

export interface In {
  readonly isTTY: boolean
  /** Everything up to the end of the input; throws when it is longer than `limit` bytes. */
  readAll(limit: number): Promise<Uint8Array>
  /** One line from a terminal; with `echo: false` nothing of it shows. */
  readLine(prompt: string, options: { readonly echo: boolean }): Promise<string>
  /** Bytes as they come, unedited by the terminal when it is one; ends with the iterator. */
  readRaw(): AsyncIterable<Uint8Array>
}

/** Options that every command takes. */
export interface Settings {
  readonly url: string | undefined
  readonly output: OutputFormat
  /** No prompt, whatever the terminal. */
  readonly noInput: boolean
  readonly quiet: boolean
  readonly color: boolean
}

/** All that a command may touch outside its arguments. `src/main/cidery.ts` brings the real one. */
export interface Cli {
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly home: string
  /** 0 for root; −1 where there is none. */
  readonly uid: number
  readonly platform: string
  readonly temporaryDirectory: string
  readonly stdin: In
  readonly stdout: Out
  readonly stderr: Out
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly transport: Transport
  readonly settings: Settings
  /** Calls back on Ctrl-C and on TERM instead of ending the process; returns how to stop. */
  onInterrupt(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
}

/** What the program is started with: everything but the settings, which come from the arguments. */
export type Outside = Omit<Cli, 'settings'>
