// BullMQ: for each line of JSON `{ jobs, workers }` on stdin it fills its queue and prints how many jobs per second it then ran to their end.
// `node bullmq.js PORT` of a Redis.
import { createInterface } from 'node:readline'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'

const connect = () => new Redis({ host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null })
const queue = new Queue('bench', { connection: connect() })

for await (const line of createInterface({ input: process.stdin })) {
  const { jobs, workers } = JSON.parse(line)
  for (let start = 0; start < jobs; start += 1000) {
    const count = Math.min(1000, jobs - start)
    await queue.addBulk(
      Array.from({ length: count }, () => ({ name: 'job', data: { command: ['true'] }, opts: { removeOnComplete: true } })),
    )
  }
  let done = 0
  const all = Promise.withResolvers()
  const startedAt = performance.now()
  const worker = new Worker('bench', async () => {}, { connection: connect(), concurrency: workers })
  worker.on('error', (error) => console.error(error))
  worker.on('completed', () => {
    done += 1
    if (done === jobs) all.resolve()
  })
  await all.promise
  console.log((jobs / (performance.now() - startedAt)) * 1000)
  await worker.close()
}
