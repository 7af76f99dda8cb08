import type { SimulationReport } from '../model/simulation.ts'
import type { TraceJob } from '../model/trace.ts'
import { simulationPage } from '../simulate/page/page.ts'
import { namedRandom } from '../simulate/random.ts'
import { compare } from '../simulate/replay/compare.ts'
import type { Comparison } from '../simulate/replay/compare.ts'
import { sampleTrace } from '../simulate/trace/sample.ts'
import { replayThreads } from './replay-threads.ts'

/** Replays a trace in each scenario that is asked for. `say` is told how far it is. */
export async function simulateCommand(comparison: Comparison, say: (message: string) => void): Promise<SimulationReport> {
  return compare(comparison, replayThreads(), (ended, total) => say(`replayed ${ended} of ${total} jobs`))
}

/** A made-up working day of so many jobs; the same for the same seed. */
export function sampleJobs(count: number, seed: number): readonly TraceJob[] {
  return sampleTrace(count, namedRandom(seed, 'sample').fraction)
}

/** A page with the charts of a report. */
export function pageOf(report: SimulationReport): string {
  return simulationPage(report)
}
