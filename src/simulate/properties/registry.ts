import {
  busyHostIsNotRestarted,
  generationsNeverGoBack,
  livingHostIsNotLost,
  onlyReadyHostsGetJobs,
  sandboxIsNotShared,
  slotsAreNotOverbooked,
  twoMacosGuests,
} from './hosts.ts'
import { acceptedJobIsNeverLost, oneAttemptIsAlive, oneOutcome, outcomeIsTrue } from './jobs.ts'
import type { Property } from './property.ts'
import { everyChangeIsAudited, noSecretInJournal, plansAreSound } from './records.ts'

/** What must never happen. A new property is one entry here. */
export const safetyProperties: readonly Property[] = [
  acceptedJobIsNeverLost,
  oneAttemptIsAlive,
  oneOutcome,
  outcomeIsTrue,
  onlyReadyHostsGetJobs,
  twoMacosGuests,
  slotsAreNotOverbooked,
  busyHostIsNotRestarted,
  sandboxIsNotShared,
  generationsNeverGoBack,
  livingHostIsNotLost,
  noSecretInJournal,
  everyChangeIsAudited,
  plansAreSound,
]
