import type { HostId } from '../model/id.ts'
import type { SimulatedAgent } from './agents.ts'
import type { SimulatedController } from './controllers.ts'
import type { Line } from './line.ts'
import type { Machine } from './machine.ts'
import type { People } from './people.ts'
import type { SharedStore } from './shared-store.ts'

export interface FleetHost {
  readonly id: HostId
  readonly machine: Machine
  readonly agent: SimulatedAgent
  /** Another process with the same identity; runs only when a fault starts it. */
  readonly second: SimulatedAgent
  readonly line: Line
}

/** The parts of a fleet that faults take hold of. */
export interface SimulatedFleet {
  readonly hosts: ReadonlyMap<string, FleetHost>
  host(name: string): FleetHost
  readonly controllers: readonly SimulatedController[]
  readonly store: SharedStore
  readonly people: People
}
