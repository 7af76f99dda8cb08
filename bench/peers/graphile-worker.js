// graphile-worker: for each line of JSON `{ jobs, workers, local }` on stdin it fills its queue and prints how many jobs per second it then ran to their
// end. `local` > 0: takes that many at once into a local queue and completes them together. `node graphile-worker.js URL`.
import { createInterface } from 'node:readline'
import { Logger, makeWorkerUtils, run } from 'graphile-worker'

const connectionString = process.argv[2]
const logger = new Logger(() => (level, message) => level === 'error' && console.error(message))
const utils = await makeWorkerUtils({ connectionString, logger })
await utils.migrate()

for await (const line of createInterface({ input: process.stdin })) {
  const { jobs, workers, local } = JSON.parse(line)
  for (let start = 0; start < jobs; start += 1000) {
    const count = Math.min(1000, jobs - start)
    await utils.addJobs(Array.from({ length: count }, () => ({ identifier: 'bench', payload: { command: ['true'] } })))
  }
  let done = 0
  const all = Promise.withResolvers()
  const startedAt = performance.now()
  const runner = await run({
    connectionString,
    concurrency: workers,
    noHandleSignals: true,
    pollInterval: 100,
    maxPoolSize: 20,
    logger,
    taskList: {
      bench: () => {
        done += 1
        if (done === jobs) all.resolve()
      },
    },
    preset: local > 0 ? { worker: { localQueue: { size: local }, completeJobBatchDelay: 0, failJobBatchDelay: 0 } } : {},
  })
  await all.promise
  // What was run is completed in the database before the runner has stopped.
  await runner.stop()
  console.log((jobs / (performance.now() - startedAt)) * 1000)
}
await utils.release()
