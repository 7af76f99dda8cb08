import { findProgram } from '../commands.ts'
import { natProblem } from '../network.ts'
import { machinesDirectory } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'
import { socketProblem } from './socket-place.ts'

/** What machines need on this host, and what they can have. */
export interface HostAbility {
  /** Why no machine can be made; empty when it works. */
  readonly broken: readonly string[]
  readonly weaker: readonly string[]
  readonly networks: readonly ('nat' | 'none')[]
}

/** Programs, and the Debian packages that bring them. */
const needed = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  mke2fs: 'e2fsprogs',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  socat: 'socat',
} as const

/** Looks at the programs, and tries what the kernel allows. */
export async function lookAtHost(config: QemuEngineConfig): Promise<HostAbility> {
  const path = socketProblem(machinesDirectory(config.stateDir))
  const broken = [
    ...(process.platform === 'linux' && process.arch === 'x64' ? [] : ['machines of this engine run on Linux with x64 only']),
    ...Object.entries(needed)
      .filter(([name]) => findProgram(name) === null)
      .map(([name, debian]) => `the program ${name} is not installed (package ${debian})`),
    ...(path === null ? [] : [path]),
  ]
  if (broken.length > 0) return { broken, weaker: [], networks: [] }
  if (process.geteuid?.() !== 0) {
    // QEMU's own network reaches whatever its process reaches, the services on loopback included.
    return { broken, weaker: ['network nat needs root: without it a machine would reach this host'], networks: ['none'] }
  }
  const nat = await natProblem(config)
  return { broken, weaker: nat === null ? [] : [nat], networks: nat === null ? ['nat', 'none'] : ['none'] }
}
