import { randomBytes } from 'node:crypto'
import { CideryError } from '../../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../../ports/engine.ts'
import { packedWords } from '../packed-words.ts'
import { terminalWords } from '../terminal.ts'
import { enteringWords, rootWords, wayInto, type Around } from './door.ts'
import { machineFiles, placesInside, type Door, type MachineRecord } from './record.ts'
import { enterScript, launchScript } from './scripts.ts'

/** A terminal inside: macOS and Linux have programs of the same name and different words for it. */
function inTerminal(os: MachineRecord['os'], command: SandboxCommand): readonly string[] {
  return os === 'darwin' ? ['/usr/bin/script', '-q', '/dev/null', ...command.argv] : ['/usr/bin/env', ...terminalWords(command)]
}

/** How to start a command inside a running machine; FORBIDDEN for root's in one that is not a build's. Its environment is in the words of no process, on the host or inside. */
export function launchCommand(around: Around, record: MachineRecord & { readonly door: Door }, command: SandboxCommand): LaunchCommand {
  const asRoot = command.asRoot === true
  if (asRoot && record.builder === undefined)
    throw new CideryError('FORBIDDEN', `${record.id} is not the machine of a build: nobody is root there`)
  const way = wayInto(around, { record, door: record.door })
  const { ends, work } = placesInside(record.os, around.config.user)
  const token = randomBytes(12).toString('hex')
  const words = command.tty === true ? inTerminal(record.os, command) : command.argv
  const become = asRoot ? rootWords : []
  const inside = enteringWords(way, [...become, '/usr/bin/perl', '-e', enterScript, token, ends, command.cwd ?? work])
  const { lost } = machineFiles(around.config.stateDir, record.id)
  return {
    argv: ['/usr/bin/perl', '-e', launchScript, lost, `${ends}/${token}`, become.join(' '), String(inside.length), ...inside, ...way.ask],
    env: { ...way.env, ...packedWords(words, command.env) },
    cwd: '/',
  }
}
