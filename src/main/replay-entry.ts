import { parentPort, workerData } from 'node:worker_threads'
import { replayOnFleet } from '../simulate/replay/replay.ts'
import type { ReplayScenario } from '../simulate/replay/replayed.ts'
import { simulationDrivers } from './simulate.ts'

/** The thread that replays one scenario: says how many jobs have ended, and at last what became of all. */
if (parentPort !== null) {
  const port = parentPort
  const replayed = await replayOnFleet(workerData as ReplayScenario, {
    drivers: simulationDrivers(),
    ended: (count) => port.postMessage({ ended: count }),
  })
  port.postMessage({ replayed })
}
