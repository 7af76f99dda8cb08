import type { SandboxCommand } from '../../../ports/engine.ts'
import { enterScript } from './linux/scripts.ts'

/** Variables that a shell adds to what it starts; taken out again unless the job was given them. */
const shellsOwn = ['PWD', 'OLDPWD', 'SHLVL', '_'] as const

/** Prefix of the variables that carry a job's environment through programs that run as root. */
const carrier = 'CIDERY_ENV_'

/** The environment of a command, one carrier variable each: `CIDERY_ENV_0=NAME=value`. */
export function carryEnvironment(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(env).map(([name, value], index) => [`${carrier}${index}`, `${name}=${value}`]))
}

/** One word for /bin/sh. */
function quote(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/** `script` runs its words through $SHELL, which for a job may be anything: it gets /bin/sh, the command gets what it was given. */
function underTerminal(command: SandboxCommand): readonly string[] {
  const shell = command.env['SHELL']
  const restore = shell === undefined ? 'unset SHELL' : `SHELL=${quote(shell)}; export SHELL`
  return ['SHELL=/bin/sh', '/usr/bin/script', '-q', '-e', '-f', '-c', `${restore}; exec ${command.argv.map(quote).join(' ')}`, '/dev/null']
}

/**
 * Words that, run as the job's user inside its sandbox, go to a directory, unpack the environment and become the command. What those
 * who start it add to the environment (`startersOwn`) is taken out again.
 */
export function enteringWords(command: SandboxCommand, directory: string, startersOwn: readonly string[] = []): readonly string[] {
  const unset = [...shellsOwn, ...startersOwn].flatMap((name) => (command.env[name] === undefined ? ['-u', name] : []))
  const enter = ['/bin/sh', '-c', enterScript, 'cidery', command.cwd ?? directory, String(Object.keys(command.env).length)]
  if (command.tty === true) return [...enter, '/usr/bin/env', ...unset, ...underTerminal(command)]
  // env would take a program with = in its name for a variable; the shell takes it as it is.
  if (command.argv[0].includes('=')) return [...enter, ...command.argv]
  return [...enter, '/usr/bin/env', ...unset, ...command.argv]
}
