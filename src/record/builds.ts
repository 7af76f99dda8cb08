import type { BuildReport } from '../model/image/build.ts'
import type { BuildAcknowledgement } from '../model/sync.ts'
import type { RecordTx } from './commit.ts'

/** Takes in what a host says of a build. One that is not known here is over: the host may forget it. */
export async function recordBuildReport(_tx: RecordTx, _hostId: string, report: BuildReport): Promise<BuildAcknowledgement> {
  return { id: report.id, revision: report.revision, ended: true }
}
