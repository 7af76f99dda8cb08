import { createSlewingClock } from '../drivers/clocks/slewing-clock.ts'
import { createInlineDecider } from '../drivers/deciders/inline-decider.ts'
import { fixedRelease } from '../drivers/releases/fixed-release.ts'
import { createSqliteStore } from '../drivers/stores/sqlite/sqlite-store.ts'
import type { SimulationDrivers } from '../simulate/fleet.ts'

/** The real drivers that a simulation runs on: a database in memory, and deciding in line. */
export function simulationDrivers(): SimulationDrivers {
  return {
    openStore:
      ({ clock, timers }) =>
      (watcher) =>
        createSqliteStore({ path: ':memory:', clock, timers, watcher }),
    newDecider: createInlineDecider,
    newControllerClock: createSlewingClock,
    releases: fixedRelease({ commit: null, path: '/simulated', sha256: null, operation: null }, 'a simulated agent is no release'),
    turn: () => new Promise((resolve) => void setImmediate(resolve)),
  }
}
