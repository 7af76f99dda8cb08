import { execFile } from 'node:child_process'
import { CideryError } from '../../model/errors.ts'

export interface CommandResult {
  readonly code: number
  readonly output: string
}

/** Runs a program of the system; its code and both outputs together. */
export type SystemCommand = (argv: readonly [string, ...string[]]) => Promise<CommandResult>

const limitMs = 60_000

export function systemCommand(argv: readonly [string, ...string[]]): Promise<CommandResult> {
  const [program, ...words] = argv
  return new Promise((resolve) => {
    execFile(program, words, { encoding: 'utf8', timeout: limitMs, maxBuffer: 1024 ** 2 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 127
      resolve({ code, output: `${stdout}${stderr}${code === 127 && error !== null ? error.message : ''}`.trim() })
    })
  })
}

/** Runs it, notes it in the transcript, and throws ENGINE_FAILED when it fails. */
export async function must(run: SystemCommand, transcript: string[], argv: readonly [string, ...string[]]): Promise<void> {
  const { code, output } = await run(argv)
  transcript.push(`${argv.join(' ')}: ${code}`)
  if (code !== 0) throw new CideryError('ENGINE_FAILED', `${argv.join(' ')} ended with ${code}: ${output}`)
}
