import { rmSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import { must, program, run } from '../commands.ts'
import { isAlive } from '../process-table.ts'
import type { Holder } from '../records.ts'
import { sshConfig } from './entering.ts'
import { GuestControl } from './guest-control.ts'
import { endProcess, killWithText, lastLines, startDetached } from './processes.ts'
import type { MachineFiles } from './record.ts'

/** What a machine is told of its keys. */
export interface Keys {
  /** The one key that may enter, as in authorized_keys, without its type. */
  readonly client: string
  /** The private key of its SSH server, hex of the file. */
  readonly host: string
}

/** Makes the keys of a machine for this boot, and what ssh needs to know its server by. `person` is the account that they enter as. */
export async function makeKeys(files: MachineFiles, person: string): Promise<Keys> {
  for (const path of [files.key, files.hostKey]) {
    rmSync(path, { force: true })
    rmSync(`${path}.pub`, { force: true })
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path])
  }
  const word = (path: string): string => readFileSync(`${path}.pub`, 'utf8').split(' ')[1]?.trim() ?? ''
  writeFileSync(files.knownHosts, `guest ssh-ed25519 ${word(files.hostKey)}\n`, { mode: 0o600 })
  writeFileSync(files.sshConfig, sshConfig(files, person), { mode: 0o600 })
  const host = readFileSync(files.hostKey).toString('hex')
  // The server has it in its memory from now on, and nobody else needs it.
  rmSync(files.hostKey)
  return { client: word(files.key), host }
}

/** What shows in the words of the process at the host's end of a machine's port. */
function portWord(files: MachineFiles): string {
  return `UNIX-CONNECT:${files.ssh}`
}

/** Opens the one connection that all commands share, and waits until it takes them. Ends it again when it does not within the limit. */
export async function connectMaster(files: MachineFiles, machine: Holder, limitMs: number): Promise<Holder> {
  rmSync(files.master, { force: true })
  // On the command line it goes before what the file says.
  const proxy = `ProxyCommand=${program('socat')} - ${portWord(files)}`
  const words = ['ssh', '-F', files.sshConfig, '-o', proxy, '-M', '-N', 'guest'] as const
  const master = await startDetached(words, { complaints: files.complaints })
  const until = performance.now() + limitMs
  try {
    for (;;) {
      if ((await run(['ssh', '-F', files.sshConfig, '-O', 'check', 'guest'], { timeoutMs: 10_000 })).code === 0) return master
      const why = !isAlive(machine) ? 'the machine went' : !isAlive(master) ? 'ssh ended' : performance.now() > until ? 'no answer' : null
      if (why !== null) throw new CideryError('UNAVAILABLE', `the machine cannot be entered: ${why}: ${lastLines(files.complaints, 2)}`)
      await sleep(15)
    }
  } catch (error) {
    await endProcess(master, 0)
    throw error
  }
}

/** Opens the shared connection of a running machine again. What the one before left at the port would be taken for its beginning, so it goes first. */
export async function reconnect(files: MachineFiles, machine: Holder, limitMs: number): Promise<Holder> {
  await killWithText(portWord(files))
  const control = await GuestControl.open(files.control, 5000)
  try {
    control.say('ssh')
    await control.hear('ready', limitMs)
  } finally {
    control.close()
  }
  return connectMaster(files, machine, limitMs)
}
