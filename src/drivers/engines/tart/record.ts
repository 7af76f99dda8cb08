import { z } from 'zod'

/** A process of this host; `startedAt` (ms) tells it from a later one with its pid. */
export const Process = z.strictObject({ pid: z.int(), startedAt: z.number() })
export type Process = z.infer<typeof Process>

/** How commands get into a running machine. */
export const Door = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('agent') }),
  z.strictObject({ kind: z.literal('ssh'), address: z.string() }),
])
export type Door = z.infer<typeof Door>

/** What the engine wrote down before it asked Tart for anything. */
export const MachineRecord = z.strictObject({
  id: z.string(),
  jobId: z.string(),
  /** Name of the machine in Tart: prefix, owner, id, generation. */
  name: z.string(),
  /** Goes up when a machine that a crash left half-made is made anew. */
  generation: z.int(),
  image: z.string(),
  os: z.enum(['darwin', 'linux']),
  shape: z.strictObject({ cpu: z.number(), memoryMiB: z.int(), diskMiB: z.int() }),
  blockedAddresses: z.array(z.string()),
  /** The machine of a build: its disk is kept. The layer that it was made of, where it was one; whether it shut itself down since it last ran. */
  builder: z.strictObject({ layer: z.string().nullable(), closed: z.boolean() }).optional(),
  /** `creating` until it is cloned and set, `removing` from the first step of its end; a crash leaves what is to be cleaned. */
  phase: z.enum(['creating', 'ready', 'removing']),
  createdAt: z.number(),
  /** `tart run`. */
  run: Process.nullable(),
  door: Door.nullable(),
  residue: z.array(z.string()),
  notes: z.array(z.string()),
})
export type MachineRecord = z.infer<typeof MachineRecord>

/** Files of one machine, in a directory of its own below the engine's. */
export interface MachineFiles {
  readonly directory: string
  /** What `tart run` says. */
  readonly log: string
  readonly sshConfig: string
  readonly knownHosts: string
  /** Is there when a command lost its connection: nobody knows how it ended. */
  readonly lost: string
}

export function machineFiles(stateDir: string, id: string): MachineFiles {
  const directory = `${stateDir}/vms/${id}`
  const file = (name: string): string => `${directory}/${name}`
  return { directory, log: file('run.log'), sshConfig: file('ssh_config'), knownHosts: file('known_hosts'), lost: file('lost') }
}

/** Places inside, as the machine names them. */
export interface Inside {
  readonly home: string
  readonly work: string
  readonly temporary: string
  readonly secrets: string
  /** Where running commands leave how they end. */
  readonly ends: string
}

export function placesInside(os: 'darwin' | 'linux', user: string): Inside {
  const home = os === 'darwin' ? `/Users/${user}` : `/home/${user}`
  return { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: `${home}/.cidery/secrets`, ends: `${home}/.cidery/ends` }
}
