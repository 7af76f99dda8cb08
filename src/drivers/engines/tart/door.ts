import { chmodSync, writeFileSync } from 'node:fs'
import { run, type Ran } from '../commands.ts'
import { shellQuoted } from '../terminal.ts'
import { machineFiles, type Door, type MachineRecord } from './record.ts'
import type { TartEngineConfig } from './settings.ts'
import type { Tart } from './tart.ts'

/** What everything that is done to a machine needs. */
export interface Around {
  readonly config: TartEngineConfig
  readonly tart: Tart
}

/** A machine, and the door that is used. */
export interface Entrance {
  readonly record: MachineRecord
  readonly door: Door
}

/** How words get into a machine: in front of them, and whether they are one text for a shell there. */
interface Way {
  readonly enter: readonly [string, ...string[]]
  /** Behind these comes the text of a shell script. */
  readonly ask: readonly [string, ...string[]]
  readonly env: Readonly<Record<string, string>>
  readonly asText: boolean
}

/** Gives ssh the password from its file, so that it is in no word and no variable of any process. */
const askPass = `#!/bin/sh\nexec cat -- "$CIDERY_PASSWORD_FILE"\n`

/** Writes what ssh needs to reach a machine. Its key is believed at first sight: it stands behind this host's own network and has no name. */
export function writeSshConfig(config: TartEngineConfig, record: MachineRecord, address: string): void {
  const files = machineFiles(config.stateDir, record.id)
  const keyFile = config.ssh?.keyFile ?? null
  const lines = [
    'Host guest',
    `  HostName ${address}`,
    `  User ${config.user}`,
    ...(keyFile === null
      ? ['  PreferredAuthentications password,keyboard-interactive', '  PubkeyAuthentication no', '  NumberOfPasswordPrompts 1']
      : [`  IdentityFile ${keyFile}`, '  IdentitiesOnly yes', '  BatchMode yes']),
    `  UserKnownHostsFile ${files.knownHosts}`,
    '  GlobalKnownHostsFile /dev/null',
    '  StrictHostKeyChecking accept-new',
    '  RequestTTY no',
    '  LogLevel ERROR',
    '  ConnectTimeout 10',
    '  ServerAliveInterval 30',
    '  ServerAliveCountMax 10',
    '',
  ]
  writeFileSync(files.sshConfig, lines.join('\n'), { mode: 0o600 })
  if (keyFile !== null) return
  writeFileSync(`${files.directory}/askpass`, askPass, { mode: 0o700 })
  chmodSync(`${files.directory}/askpass`, 0o700)
}

/** The way into a machine by one of its doors. */
export function wayInto({ config, tart }: Around, { record, door }: Entrance): Way {
  if (door.kind === 'agent') {
    const exec = (...flags: readonly string[]): readonly [string, ...string[]] => [tart.program, 'exec', ...flags, record.name]
    return { enter: exec('-i'), ask: [...exec(), '/bin/sh', '-c'], env: tart.environment, asText: false }
  }
  const { directory, sshConfig } = machineFiles(config.stateDir, record.id)
  const ssh = ['/usr/bin/ssh', '-F', sshConfig, 'guest'] as const
  const password = config.ssh?.passwordFile
  const secret =
    password === null || password === undefined
      ? {}
      : { SSH_ASKPASS: `${directory}/askpass`, SSH_ASKPASS_REQUIRE: 'force', CIDERY_PASSWORD_FILE: password, DISPLAY: ':0' }
  return { enter: ssh, ask: ssh, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', ...secret }, asText: true }
}

/** Words that enter a machine and become others. */
export function enteringWords(way: Way, words: readonly string[]): readonly [string, ...string[]] {
  return way.asText ? [...way.enter, words.map((word) => shellQuoted(word)).join(' ')] : [...way.enter, ...words]
}

/** A small script to run inside, and its words. */
export interface Question {
  readonly script: string
  readonly words?: readonly string[]
  /** In the machine of a build only. */
  readonly asRoot?: boolean
  readonly timeoutMs: number
}

/** Makes a command root's: the account of every public image may do that without a password. */
export const rootWords = ['/usr/bin/sudo', '-n'] as const

/** Runs a small script inside, without input, and gives what came of it. */
export function askInside(around: Around, { record, door }: Entrance, question: Question): Promise<Ran> {
  const { script, words = [], asRoot = false, timeoutMs } = question
  const whole = [...(asRoot ? rootWords : []), '/bin/sh', '-c', script, 'cidery', ...words]
  if (door.kind === 'agent') return around.tart.call(['exec', record.name, ...whole], timeoutMs)
  const way = wayInto(around, { record, door })
  return run(enteringWords(way, whole), { env: way.env, timeoutMs })
}
