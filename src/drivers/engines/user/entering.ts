import type { SandboxCommand } from '../../../ports/engine.ts'
import { terminalWords } from '../terminal.ts'
import { enterScript } from './linux/scripts.ts'

/** Variables that a shell adds to what it starts; taken out again unless the job was given them. */
const shellsOwn = ['PWD', 'OLDPWD', 'SHLVL', '_'] as const

/** Prefix of the variables that carry a job's environment through programs that run as root. */
const carrier = 'CIDERY_ENV_'

/** A carrier's name makes its word longer than the variable it carries; Linux takes 128 KiB per word, so long values come in pieces. */
const longestPiece = 30_000

/**
 * The environment of a command, one carrier variable each: `CIDERY_ENV_0=NAME=value`, and for what does not fit in one,
 * `CIDERY_ENV_0_1=…` and so on.
 */
export function carryEnvironment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const carried: Record<string, string> = {}
  Object.entries(env).forEach(([name, value], index) => {
    const [first = '', ...rest] = piecesOf(`${name}=${value}`)
    carried[`${carrier}${index}`] = first
    rest.forEach((piece, at) => (carried[`${carrier}${index}_${at + 1}`] = piece))
  })
  return carried
}

/** Cuts between characters, never inside one. */
function piecesOf(text: string): readonly string[] {
  if (text.length <= longestPiece) return [text]
  const pieces: string[] = []
  for (let start = 0; start < text.length;) {
    const end = start + longestPiece
    const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(end - 1))
    pieces.push(text.slice(start, splitsPair ? end - 1 : end))
    start = splitsPair ? end - 1 : end
  }
  return pieces
}

/**
 * Words that, run as the job's user inside its sandbox, go to a directory, unpack the environment and become the command. What those
 * who start it add to the environment (`startersOwn`) is taken out again.
 */
export function enteringWords(command: SandboxCommand, directory: string, startersOwn: readonly string[] = []): readonly string[] {
  const unset = [...shellsOwn, ...startersOwn].flatMap((name) => (command.env[name] === undefined ? ['-u', name] : []))
  const enter = ['/bin/sh', '-c', enterScript, 'cidery', command.cwd ?? directory, String(Object.keys(command.env).length)]
  if (command.tty === true) return [...enter, '/usr/bin/env', ...unset, ...terminalWords(command)]
  // env would take a program with = in its name for a variable; the shell takes it as it is.
  if (command.argv[0].includes('=')) return [...enter, ...command.argv]
  return [...enter, '/usr/bin/env', ...unset, ...command.argv]
}
