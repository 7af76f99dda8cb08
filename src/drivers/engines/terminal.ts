import type { SandboxCommand } from '../../ports/engine.ts'

/** One word for /bin/sh. */
export function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * Words for `env` that run a command under a terminal of its own. `script` runs its words through $SHELL, which for a job may be anything: it gets
 * /bin/sh, the command gets what it was given.
 */
export function terminalWords(command: SandboxCommand): readonly string[] {
  const shell = command.env['SHELL']
  const restore = shell === undefined ? 'unset SHELL' : `SHELL=${shellQuoted(shell)}; export SHELL`
  const words = command.argv.map((word) => shellQuoted(word)).join(' ')
  return ['SHELL=/bin/sh', '/usr/bin/script', '-q', '-e', '-f', '-c', `${restore}; exec ${words}`, '/dev/null']
}
