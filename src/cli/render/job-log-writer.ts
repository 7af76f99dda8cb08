import type { Cli } from '../cli.ts'
import { makeLogFilter } from './log-filter.ts'

export interface JobLogWriter {
  write(bytes: Uint8Array): Promise<void>
  /** Makes sure that what is written next to the same terminal starts a line of its own. */
  endLine(): Promise<void>
  end(): Promise<void>
}

/** Writes a job's log to stdout: byte by byte into files and pipes, made safe for a terminal. */
export function jobLogWriter(cli: Pick<Cli, 'stdout' | 'settings'>): JobLogWriter {
  if (!cli.stdout.isTTY) {
    const nothing = async () => undefined
    return { write: (bytes) => cli.stdout.write(bytes), endLine: nothing, end: nothing }
  }
  const filter = makeLogFilter()
  const last = { character: '\n' }
  const show = async (text: string) => {
    if (text === '') return
    last.character = text.at(-1) ?? '\n'
    await cli.stdout.write(text)
  }
  const endLine = () => (last.character === '\n' ? Promise.resolve() : show('\n'))
  return {
    write: (bytes) => show(filter.filter(bytes)),
    endLine,
    async end() {
      await show(filter.end())
      // Colours that the job left on, and a last line without an end, are not passed on to the shell.
      await cli.stdout.write(cli.settings.color ? '\u001B[0m' : '')
      await endLine()
    },
  }
}
