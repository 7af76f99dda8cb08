import { z } from 'zod'
import { Holder } from '../records.ts'
import { socketPlace } from './socket-place.ts'

/** What the engine wrote down before it changed anything on the host for a machine. */
export const MachineRecord = z.object({
  id: z.string(),
  jobId: z.string(),
  image: z.string(),
  shape: z.strictObject({ cpu: z.number(), memoryMiB: z.int(), diskMiB: z.int() }),
  network: z.enum(['nat', 'none']),
  blockedAddresses: z.array(z.string()),
  /** The machine of a build: its root disk is kept. The layer that it starts from, where that is not its image; whether it was closed since it last ran. */
  builder: z.strictObject({ layer: z.string().nullable(), closed: z.boolean() }).optional(),
  /** Nobody's sandbox yet: started for the next request that is alike. */
  warm: z.boolean().optional(),
  /** Name of its directory where that is not its id: a machine that was warm keeps the one it began with. */
  folder: z.string().optional(),
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
  /** The same directory by a name short enough for sockets: their paths have 107 characters at most. */
  readonly sockets: string
  readonly root: string
  readonly data: string
  readonly console: string
  readonly complaints: string
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

/** The name of a machine's directory, and of the machine to itself. */
export function folderOf({ id, folder }: Pick<MachineRecord, 'id' | 'folder'>): string {
  return folder ?? id
}

/** Whether a machine is under another name too: a crash came while a warm one was given to a sandbox, between the two records. */
export function hasOtherName(records: readonly MachineRecord[], record: MachineRecord): boolean {
  return records.some((other) => other.id !== record.id && folderOf(other) === folderOf(record))
}

/** All machines of an engine, a directory each. */
export function machinesDirectory(stateDir: string): string {
  return `${stateDir}/vms`
}

export function filesOf({ stateDir }: { readonly stateDir: string }, record: MachineRecord): MachineFiles {
  return machineFiles(stateDir, folderOf(record))
}

export function machineFiles(stateDir: string, folder: string): MachineFiles {
  const vms = machinesDirectory(stateDir)
  const directory = `${vms}/${folder}`
  const sockets = `${socketPlace(vms)}/${folder}`
  const file = (name: string): string => `${directory}/${name}`
  const socket = (name: string): string => `${sockets}/${name}`
  return {
    directory,
    sockets,
    root: file('root.qcow2'),
    data: file('data.raw'),
    console: file('console'),
    complaints: file('complaints'),
    control: socket('control'),
    ssh: socket('ssh'),
    monitor: socket('monitor'),
    master: socket('master'),
    sshConfig: file('ssh_config'),
    knownHosts: file('known_hosts'),
    key: file('key'),
    hostKey: file('host_key'),
    lost: file('lost'),
  }
}
