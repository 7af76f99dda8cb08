import { CideryError } from '../../model/errors.ts'
import type { PlaceParts } from './place.ts'

export interface ProgramAnswer {
  readonly code: number
  readonly output: string
}

/** A program that asks somebody at a screen would else wait for ever. */
const limitMs = 20_000
const graceMs = 1000
const longestOutput = 64 * 1024

/** Runs a program that knows credentials. Null when there is no such program; UNAVAILABLE when it does not answer in time. */
export async function runProgram(
  { processes, env, home }: PlaceParts,
  argv: readonly [string, ...string[]],
  { input, signal }: { readonly input?: string; readonly signal: AbortSignal },
): Promise<ProgramAnswer | null> {
  const own = Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined))
  const started = await processes
    .start({ argv, env: own, cwd: home }, input === undefined ? {} : { input: Buffer.from(input) })
    .catch(() => null)
  // It cannot be started: that is all there is to know.
  if (started === null) return null
  const late = AbortSignal.any([signal, AbortSignal.timeout(limitMs)])
  const stop = (): void => void started.stop(graceMs)
  late.addEventListener('abort', stop, { once: true })
  // It came while the program was started.
  if (late.aborted) stop()
  try {
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of started.output) {
      pieces.push(piece)
      size += piece.length
      if (size > longestOutput) throw new CideryError('UNAVAILABLE', `${argv[0]} gave more than ${longestOutput} bytes`)
    }
    const { code } = await started.ended
    signal.throwIfAborted()
    if (late.aborted) throw new CideryError('UNAVAILABLE', `${argv[0]} gave no answer within ${limitMs / 1000} s`)
    return { code: code ?? 255, output: Buffer.concat(pieces).toString('utf8') }
  } finally {
    late.removeEventListener('abort', stop)
    await started.stop(graceMs)
  }
}
