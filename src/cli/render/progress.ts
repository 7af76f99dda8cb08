import type { Cli } from '../cli.ts'
import { paint } from './style.ts'
import { cleanText, fitText } from './text.ts'

/** What a command says while it works: one line that changes on a terminal, a line with the time per change elsewhere. */
export interface Progress {
  /** What is being done now; saying the same again writes nothing. */
  say(message: string): Promise<void>
  /** A line that stays, on both. */
  note(message: string): Promise<void>
  /** Takes the changing line away; before something else writes to the terminal. */
  clear(): Promise<void>
}

export function makeProgress(cli: Pick<Cli, 'stderr' | 'stdout' | 'clock' | 'settings'>): Progress {
  if (cli.settings.quiet) {
    const silent = async () => undefined
    return { say: silent, note: silent, clear: silent }
  }
  return cli.stderr.isTTY ? onTerminal(cli) : asLines(cli)
}

function onTerminal(cli: Pick<Cli, 'stderr' | 'settings'>): Progress {
  let shown = ''
  const clear = async () => {
    if (shown === '') return
    shown = ''
    await cli.stderr.write('\r\u001B[K')
  }
  return {
    clear,
    async say(message) {
      const line = fitText(cleanText(message), cli.stderr.columns - 3)
      if (line === shown) return
      shown = line
      await cli.stderr.write(`\r\u001B[K${paint('…', 'busy', cli.settings.color)} ${line}`)
    },
    async note(message) {
      await clear()
      await cli.stderr.write(`${cleanText(message)}\n`)
    },
  }
}

function asLines(cli: Pick<Cli, 'stderr' | 'clock'>): Progress {
  let last = ''
  const write = (message: string) => cli.stderr.write(`${new Date(cli.clock.now()).toISOString()} ${cleanText(message)}\n`)
  return {
    clear: async () => undefined,
    async say(message) {
      if (message === last) return
      last = message
      await write(message)
    },
    note: write,
  }
}
