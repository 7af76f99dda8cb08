// pg-boss: for each line of JSON `{ jobs, batch, workers }` on stdin it fills its queue and prints how many jobs per second it then fetched and
// completed. `node pg-boss.js URL`.
import { createInterface } from 'node:readline'
import { PgBoss } from 'pg-boss'

const boss = new PgBoss({ connectionString: process.argv[2], max: 20, supervise: false, schedule: false })
boss.on('error', (error) => console.error(error))
await boss.start()
await boss.createQueue('bench')

for await (const line of createInterface({ input: process.stdin })) {
  const { jobs, batch, workers } = JSON.parse(line)
  for (let start = 0; start < jobs; start += 1000) {
    const count = Math.min(1000, jobs - start)
    await boss.insert(
      'bench',
      Array.from({ length: count }, () => ({ data: { command: ['true'] } })),
    )
  }
  const startedAt = performance.now()
  let done = 0
  async function work() {
    for (;;) {
      const taken = await boss.fetch('bench', { batchSize: batch })
      if (taken.length === 0) return
      await boss.complete(
        'bench',
        taken.map(({ id }) => id),
      )
      done += taken.length
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  if (done !== jobs) throw new Error(`${done} of ${jobs} jobs were done`)
  console.log((done / (performance.now() - startedAt)) * 1000)
}
