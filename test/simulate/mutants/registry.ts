import type { Mutant } from './mutant.ts'
import { mutantsOfHosts } from './of-hosts.ts'
import { mutantsOfJobs } from './of-jobs.ts'
import { mutantsOfRecords } from './of-records.ts'
import { mutantsOfSandboxes } from './of-sandboxes.ts'

/** Every change that the simulation is known to find. A new one is one entry in one of the lists. */
export const mutants: readonly Mutant[] = [...mutantsOfJobs, ...mutantsOfHosts, ...mutantsOfSandboxes, ...mutantsOfRecords]
