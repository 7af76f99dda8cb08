import { setTimeout as sleep } from 'node:timers/promises'
import type { Api } from '../../e2e/api.ts'
import { streamJobs, submit, type JobStream, type Submitted } from '../job-stream.ts'

export interface Load {
  readonly name: string
  readonly random: () => number
  /** Long jobs at once; they run for up to half a minute, so that most faults strike while several of them write. */
  readonly long: number
}

/** Submits a job that writes a line five times a second, and the next one some time after, until told to stop. */
function streamLong(api: Api, { name, random }: Omit<Load, 'long'>): JobStream {
  const accepted: Submitted[] = []
  const state = { going: true }
  const work = (async () => {
    for (let number = 0; state.going; number += 1) {
      const word = `${name}-${number}`
      const lines = 30 + Math.floor(random() * 120)
      const code = number % 3
      const script = `i=0; while [ $i -lt ${lines} ]; do echo "${word} line $i"; i=$((i+1)); sleep 0.2; done; exit ${code}`
      const { id } = await submit(api, { key: word, script, timeoutS: 600 })
      accepted.push({ id, code, log: Array.from({ length: lines }, (_, line) => `${word} line ${line}\n`).join('') })
      await sleep(lines * 200 * (0.8 + random()))
    }
  })()
  return {
    async stop() {
      state.going = false
      await work
      return accepted
    },
  }
}

/** Short and long jobs until told to stop; answers all that were accepted. */
export function startLoad(api: Api, { name, random, long }: Load): JobStream {
  const streams = [
    streamJobs(api, { name: `${name}-short`, random, pauseMs: 900 }),
    ...Array.from({ length: long }, (_, index) => streamLong(api, { name: `${name}-long-${index}`, random })),
  ]
  return {
    async stop() {
      return (await Promise.all(streams.map((stream) => stream.stop()))).flat()
    },
  }
}
