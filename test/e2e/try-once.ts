import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkout, temporaryDirectory } from './processes.ts'

export interface Tried {
  readonly code: unknown
  /** Everything that it printed. */
  readonly text: string
  /** The program that it built, when there is one. */
  readonly program: string | undefined
}

/** Runs the README's first command to its end, on a state of its own. */
export async function tryOnce(words: readonly string[]): Promise<Tried> {
  const directory = await temporaryDirectory('try')
  try {
    const state = join(directory.path, 'state')
    const child = spawn('npm', ['run', 'try', '--', '--once', '--state', state, ...words], {
      cwd: checkout,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const printed: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => printed.push(bytes))
    const code = await new Promise((resolve) => child.once('close', resolve))
    const program = ['bzip2', 'wordcount'].map((name) => join(state, 'artifacts', name)).find((path) => existsSync(path))
    return { code, text: Buffer.concat(printed).toString(), program }
  } finally {
    await directory.remove()
  }
}
