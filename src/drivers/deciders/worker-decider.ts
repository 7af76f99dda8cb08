import { Worker } from 'node:worker_threads'
import { CideryError } from '../../model/errors.ts'
import type { ImageState } from '../../model/image/state.ts'
import { minute, type Milliseconds } from '../../model/instant.ts'
import type { Plan } from '../../model/plan.ts'
import type { Decider } from '../../ports/decider.ts'
import type { Timer, Timers } from '../../ports/time.ts'
import type { WorkerAnswer, WorkerRequest } from './worker-protocol.ts'
import { transferable } from './world-transfer.ts'

export interface WorkerDeciderOptions {
  /** The module that calls `serveDecider`. */
  readonly entry: URL
  readonly timers: Timers
  /** A question that takes longer ends the worker; the next `reset` starts another. */
  readonly limit?: Milliseconds
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

/** A question without its id. */
type Question = { [R in WorkerRequest as R['ask']]: Omit<R, 'id'> }[WorkerRequest['ask']]

/** Decides in a thread of its own. When that thread dies, questions are refused with UNAVAILABLE until the loop gives it its world again. */
export function createWorkerDecider(options: WorkerDeciderOptions): Decider {
  const limit = options.limit ?? minute
  const pending = new Map<number, Pending>()
  let worker: Worker | undefined
  let lastId = 0
  let closed = false

  function start(): Worker {
    const started = new Worker(options.entry)
    // The loop keeps the process alive, not this thread.
    started.unref()
    started.on('message', (answer: WorkerAnswer) => settle(answer))
    started.on('error', (error: Error) => lose(started, error))
    started.on('exit', () => lose(started, new Error('the thread ended')))
    return started
  }

  function settle(answer: WorkerAnswer): void {
    const waiting = pending.get(answer.id)
    if (waiting === undefined) return
    pending.delete(answer.id)
    waiting.timer.cancel()
    if (answer.ok) waiting.resolve(answer.value)
    else waiting.reject(new CideryError(answer.code, `deciding failed: ${answer.message}`, { cause: answer.stack }))
  }

  function lose(lost: Worker, error: Error): void {
    if (worker !== lost) return
    worker = undefined
    for (const [id, waiting] of pending) {
      pending.delete(id)
      waiting.timer.cancel()
      waiting.reject(new CideryError('UNAVAILABLE', `the deciding thread was lost: ${error.message}`, { cause: error }))
    }
  }

  function ask(question: Question): Promise<unknown> {
    const asked = worker
    if (asked === undefined)
      return Promise.reject(new CideryError('UNAVAILABLE', closed ? 'the decider is closed' : 'the deciding thread has no world yet'))
    lastId += 1
    const id = lastId
    return new Promise((resolve, reject) => {
      const timer = options.timers.after(limit, () => {
        lose(asked, new Error(`no answer for ${limit} ms`))
        void asked.terminate()
      })
      pending.set(id, { resolve, reject, timer })
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      asked.postMessage({ ...question, id })
    })
  }

  return {
    async reset(spec, world) {
      if (closed) throw new CideryError('UNAVAILABLE', 'the decider is closed')
      worker ??= start()
      await ask({ ask: 'reset', spec, world: transferable(world) })
    },
    async setSpec(spec) {
      await ask({ ask: 'setSpec', spec })
    },
    advance(changes) {
      // Without a thread there is no world either: the loop learns of it by its next question.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker?.postMessage({ ask: 'advance', changes } satisfies WorkerRequest)
    },
    decide: async (now) => (await ask({ ask: 'decide', now })) as Plan,
    explain: async (subject, now) => (await ask({ ask: 'explain', subject, now })) as Plan['waiting'],
    imageStates: async (now) => (await ask({ ask: 'imageStates', now })) as readonly ImageState[],
    async close() {
      closed = true
      const ending = worker
      if (ending === undefined) return
      lose(ending, new Error('it was closed'))
      await ending.terminate()
    },
  }
}
