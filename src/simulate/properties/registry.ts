import {
  busyHostIsNotRestarted,
  closedHostGetsNoJob,
  generationsNeverGoBack,
  livingHostIsNotLost,
  onlyReadyHostsGetJobs,
  slotsAreNotOverbooked,
} from './hosts.ts'
import {
  acceptedJobIsNeverLost,
  cancelledOnlyWhenAsked,
  commandStartsOnce,
  oneAttemptIsAlive,
  oneOutcome,
  outcomeIsTrue,
  triesAreLimited,
} from './jobs.ts'
import type { Property } from './property.ts'
import { everyChangeIsAudited, journalTellsAll, noSecretInJournal, onlyTheLeaderActs, plansAreSound } from './records.ts'
import { sandboxEndsWithItsJob, sandboxIsNotShared, sandboxOfCommandStays, twoMacosGuests } from './sandboxes.ts'

/** What must never happen. A new property is one entry here. */
export const safetyProperties: readonly Property[] = [
  acceptedJobIsNeverLost,
  oneAttemptIsAlive,
  commandStartsOnce,
  oneOutcome,
  outcomeIsTrue,
  cancelledOnlyWhenAsked,
  triesAreLimited,
  onlyReadyHostsGetJobs,
  closedHostGetsNoJob,
  slotsAreNotOverbooked,
  twoMacosGuests,
  busyHostIsNotRestarted,
  sandboxIsNotShared,
  sandboxOfCommandStays,
  sandboxEndsWithItsJob,
  generationsNeverGoBack,
  livingHostIsNotLost,
  noSecretInJournal,
  everyChangeIsAudited,
  journalTellsAll,
  plansAreSound,
  onlyTheLeaderActs,
]
