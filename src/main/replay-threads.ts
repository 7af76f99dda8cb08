import { availableParallelism } from 'node:os'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Replayed, ReplayScenario } from '../simulate/replay/replayed.ts'

type Message = { readonly ended: number } | { readonly replayed: Replayed }

const entry = new URL(`./replay-entry${extname(import.meta.filename)}`, import.meta.url)

/** Replays each scenario in a thread of its own, so many at once as there are processors; what happens in one does not depend on the others. */
export function replayThreads(): (scenario: ReplayScenario, ended: (count: number) => void) => Promise<Replayed> {
  let free = availableParallelism()
  const waiting: (() => void)[] = []

  async function turn(): Promise<void> {
    free -= 1
    if (free < 0) await new Promise<void>((resolve) => void waiting.push(resolve))
  }

  return async (scenario, ended) => {
    await turn()
    try {
      return await inThread(scenario, ended)
    } finally {
      free += 1
      waiting.shift()?.()
    }
  }
}

function inThread(scenario: ReplayScenario, ended: (count: number) => void): Promise<Replayed> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(entry, { workerData: scenario })
    worker.on('message', (message: Message) => {
      if ('ended' in message) ended(message.ended)
      else resolve(message.replayed)
    })
    worker.on('error', reject)
    worker.on('exit', (code) => reject(new Error(`the thread of a replay ended with ${code}`)))
  })
}
