import type { Program } from './supervisors.ts'

/** What a simulated command does, as its words say it. */
export interface CommandWords {
  readonly runsMs: number
  readonly code: number
  readonly logBytes: number
  readonly stubborn: boolean
  readonly secret: boolean
}

/** The value that the secret TOKEN has in every simulated queue; it must be found nowhere but on hosts. */
export const secretValue = 'simulated-secret-5b1f0c'

const program = 'simulated'

export function simulatedWords(command: CommandWords): [string, ...string[]] {
  const { runsMs, code, logBytes, stubborn, secret } = command
  return [program, String(runsMs), String(code), String(logBytes), stubborn ? 'stubborn' : 'obedient', secret ? 'secret' : 'open']
}

/** Reads the words again; a command that is none of ours ends at once. */
export function programOf(words: readonly string[]): Program {
  const at = words.indexOf(program)
  if (at < 0) return { runsMs: 0, log: '', code: 0, stubborn: false }
  const [runsMs, code, logBytes, stubborn, secret] = words.slice(at + 1)
  return {
    runsMs: Number(runsMs),
    code: Number(code),
    log: logText(Number(logBytes), secret === 'secret'),
    stubborn: stubborn === 'stubborn',
  }
}

/** A log of so many bytes, with the secret in its middle. */
export function logText(bytes: number, secret: boolean): string {
  const line = 'one line of a simulated log\n'
  const text = line.repeat(Math.ceil(bytes / line.length)).slice(0, bytes)
  const middle = Math.floor(text.length / 2)
  return secret ? `${text.slice(0, middle)}${secretValue}${text.slice(middle)}` : text
}
