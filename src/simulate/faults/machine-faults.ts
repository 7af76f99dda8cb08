import { z } from 'zod'
import { formatDuration, minute, second } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import type { MachineFaults } from '../faults-of-machine.ts'
import type { SimulatedFleet } from '../fleet-parts.ts'
import { oneOf, wholeBetween } from '../random.ts'
import type { FaultKind } from './fault-kind.ts'

const at = Moment
const host = z.string()

function machineOf(fleet: SimulatedFleet, name: string): MachineFaults {
  return fleet.host(name).machine.faults
}

const boots = ['slow', 'hangs', 'fails', 'unreachable'] as const
const bootWords = {
  slow: 'sandboxes boot slowly',
  hangs: 'sandboxes begin to boot and never end',
  fails: 'sandboxes do not boot',
  unreachable: 'sandboxes boot, but nothing answers inside,',
} as const satisfies Record<(typeof boots)[number], string>
const Boot = z.strictObject({ kind: z.literal('boot'), at, for: Duration, host, how: z.enum(boots) })

/** Sandboxes of a host boot slowly, never, not at all, or without ever answering. */
export const boot: FaultKind<z.infer<typeof Boot>> = {
  kind: 'boot',
  schema: Boot,
  perDay: 0.8,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'boot',
    at: when,
    for: wholeBetween(random, 1, 40) * minute,
    host: target,
    how: oneOf(random, boots),
  }),
  words: ({ host: name, how }) => `${bootWords[how]} on ${name}`,
  begin(fleet, fault) {
    machineOf(fleet, fault.host).boot = fault.how
  },
  end(fleet, fault) {
    machineOf(fleet, fault.host).boot = null
  },
}

const SandboxDies = z.strictObject({ kind: z.literal('sandboxDies'), at, host })

/** A sandbox that runs dies by itself, with all inside. */
export const sandboxDies: FaultKind<z.infer<typeof SandboxDies>> = {
  kind: 'sandboxDies',
  schema: SandboxDies,
  perDay: 0.8,
  per: 'host',
  draw: (_random, when, { target }) => ({ kind: 'sandboxDies', at: when, host: target }),
  words: ({ host: name }) => `a sandbox of ${name} dies by itself`,
  begin(fleet, fault) {
    for (const engine of fleet.host(fault.host).machine.engines.values()) {
      for (const id of engine.ids()) if (engine.killSandbox(id)) return
    }
  },
}

const StopFails = z.strictObject({ kind: z.literal('stopFails'), at, for: Duration, host })

export const stopFails: FaultKind<z.infer<typeof StopFails>> = {
  kind: 'stopFails',
  schema: StopFails,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'stopFails', at: when, for: wholeBetween(random, 10, 1200) * second, host: target }),
  words: ({ host: name }) => `sandboxes of ${name} do not stop when they are told to`,
  begin(fleet, fault) {
    machineOf(fleet, fault.host).stopFails = true
  },
  end(fleet, fault) {
    machineOf(fleet, fault.host).stopFails = false
  },
}

const DestroyLeaves = z.strictObject({ kind: z.literal('destroyLeaves'), at, for: Duration, host })

export const destroyLeaves: FaultKind<z.infer<typeof DestroyLeaves>> = {
  kind: 'destroyLeaves',
  schema: DestroyLeaves,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'destroyLeaves', at: when, for: wholeBetween(random, 10, 1200) * second, host: target }),
  words: ({ host: name }) => `sandboxes of ${name} are still there after they were removed`,
  begin(fleet, fault) {
    machineOf(fleet, fault.host).destroyLeaves = true
  },
  end(fleet, fault) {
    machineOf(fleet, fault.host).destroyLeaves = false
  },
}

const GhostSlot = z.strictObject({ kind: z.literal('ghostSlot'), at, host })

/** A slot of macOS machines is lost until the machine is restarted. */
export const ghostSlot: FaultKind<z.infer<typeof GhostSlot>> = {
  kind: 'ghostSlot',
  schema: GhostSlot,
  perDay: 0.2,
  per: 'host',
  draw: (_random, when, { target }) => ({ kind: 'ghostSlot', at: when, host: target }),
  words: ({ host: name }) => `a slot of ${name} is held by a machine that is not there`,
  begin(fleet, fault) {
    const { machine } = fleet.host(fault.host)
    // A ghost is what a machine leaves that ran: it takes a slot that is free now.
    const tart = machine.engines.get('tart')
    if (tart !== undefined && tart.taken() < 2) machine.faults.ghostSlots += 1
  },
}

const DiskFull = z.strictObject({ kind: z.literal('diskFull'), at, for: Duration, host })

export const diskFull: FaultKind<z.infer<typeof DiskFull>> = {
  kind: 'diskFull',
  schema: DiskFull,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'diskFull', at: when, for: wholeBetween(random, 10, 3600) * second, host: target }),
  words: ({ host: name }) => `the disk of ${name} is full`,
  begin(fleet, fault) {
    machineOf(fleet, fault.host).diskFull = true
  },
  end(fleet, fault) {
    machineOf(fleet, fault.host).diskFull = false
  },
}

const ImagesGone = z.strictObject({ kind: z.literal('imagesGone'), at, for: Duration, host })

/** Somebody removed the images of a host by hand. */
export const imagesGone: FaultKind<z.infer<typeof ImagesGone>> = {
  kind: 'imagesGone',
  schema: ImagesGone,
  perDay: 0.2,
  per: 'host',
  draw: (random, when, { target }) => ({ kind: 'imagesGone', at: when, for: wholeBetween(random, 1, 60) * minute, host: target }),
  words: ({ host: name }) => `somebody removed the images of ${name}`,
  begin(fleet, fault) {
    machineOf(fleet, fault.host).imagesGone = true
  },
  end(fleet, fault) {
    machineOf(fleet, fault.host).imagesGone = false
  },
}

const PowerLoss = z.strictObject({ kind: z.literal('powerLoss'), at, host, downMs: Duration })

export const powerLoss: FaultKind<z.infer<typeof PowerLoss>> = {
  kind: 'powerLoss',
  schema: PowerLoss,
  perDay: 0.3,
  per: 'host',
  draw: (random, when, { target }) => ({
    kind: 'powerLoss',
    at: when,
    host: target,
    downMs: random.fraction() < 0.7 ? wholeBetween(random, 30, 300) * second : wholeBetween(random, 5, 90) * minute,
  }),
  words: ({ host: name, downMs }) => `${name} loses power, for ${formatDuration(downMs)}`,
  begin: (fleet, fault) => fleet.host(fault.host).machine.restart(fault.downMs),
}
