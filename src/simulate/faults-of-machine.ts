import type { Milliseconds } from '../model/instant.ts'

/** How boots go wrong on a machine. */
export type BootFault = 'slow' | 'hangs' | 'fails' | 'unreachable'

/** What is wrong with one machine now. Faults set it, the simulated drivers obey it. */
export interface MachineFaults {
  boot: BootFault | null
  /** `stop` is answered with a failure, and the sandbox runs on. */
  stopFails: boolean
  /** `destroy` leaves the sandbox, and says so when it looks again. */
  destroyLeaves: boolean
  /** Slots held by virtual machines that nobody sees; only a restart of the machine frees them. */
  ghostSlots: number
  diskFull: boolean
  imagesGone: boolean
}

export function noMachineFaults(): MachineFaults {
  return { boot: null, stopFails: false, destroyLeaves: false, ghostSlots: 0, diskFull: false, imagesGone: false }
}

/** How many times longer a slow boot takes. */
export const slowBootFactor = 20
/** After so long an engine gives a machine up that does not answer. */
export const unreachableAfter: Milliseconds = 300_000
