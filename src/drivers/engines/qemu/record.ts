import { z } from 'zod'
import { Holder } from '../records.ts'

/** What the engine wrote down before it changed anything on the host for a machine. */
export const MachineRecord = z.strictObject({
  id: z.string(),
  jobId: z.string(),
  image: z.string(),
  shape: z.strictObject({ cpu: z.number(), memoryMiB: z.int(), diskMiB: z.int() }),
  network: z.enum(['nat', 'none']),
  blockedAddresses: z.array(z.string()),
  /** Which UID and which /30 network are its own. */
  slot: z.int(),
  /** `creating` until its disks exist, `removing` from the first step of its end; a crash leaves what is to be cleaned. */
  phase: z.enum(['creating', 'ready', 'removing']),
  createdAt: z.number(),
  /** Was started before: its disks are its own from then on. */
  started: z.boolean(),
  /** The saved state whose disk its own is a clone of; null for the image's. */
  savedState: z.string().nullable(),
  /** The QEMU process. */
  holder: Holder.nullable(),
  /** The SSH connection that all commands share. */
  master: Holder.nullable(),
  residue: z.array(z.string()),
  notes: z.array(z.string()),
})
export type MachineRecord = z.infer<typeof MachineRecord>

/** Files of one machine, in a directory of its own that only the agent's user enters. */
export interface MachineFiles {
  readonly directory: string
  readonly root: string
  readonly data: string
  readonly console: string
  readonly complaints: string
  /** Sockets; their paths have 107 characters at most. */
  readonly control: string
  readonly ssh: string
  readonly monitor: string
  readonly master: string
  readonly sshConfig: string
  readonly knownHosts: string
  readonly key: string
  readonly hostKey: string
  /** Is there when a command lost its connection: nobody knows how it ended. */
  readonly lost: string
}

export function machineFiles(stateDir: string, id: string): MachineFiles {
  const directory = `${stateDir}/vms/${id}`
  const file = (name: string): string => `${directory}/${name}`
  return {
    directory,
    root: file('root.qcow2'),
    data: file('data.raw'),
    console: file('console'),
    complaints: file('complaints'),
    control: file('control'),
    ssh: file('ssh'),
    monitor: file('monitor'),
    master: file('master'),
    sshConfig: file('ssh_config'),
    knownHosts: file('known_hosts'),
    key: file('key'),
    hostKey: file('host_key'),
    lost: file('lost'),
  }
}

/** While it is made, a control socket of ssh has 17 characters more; the kernel takes 107. */
const longestSocket = 107 - 17

/** Why machines cannot have their sockets in this directory, or null. */
export function pathProblem(stateDir: string): string | null {
  const { master } = machineFiles(stateDir, `att_${'0'.repeat(26)}`)
  const over = master.length - longestSocket
  return over > 0 ? `the path ${stateDir} is ${over} characters too long for sockets below it` : null
}
