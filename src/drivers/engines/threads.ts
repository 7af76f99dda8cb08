import { availableParallelism } from 'node:os'
import { parentPort, Worker, type Transferable } from 'node:worker_threads'

/** What a thread can be asked for: plain functions that block, by name. A result's `bytes` are handed over, not copied. */
export type Work = Record<string, (input: never) => unknown>

interface Question {
  readonly id: number
  readonly task: string
  readonly input: unknown
}

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly failure?: { readonly message: string; readonly code: string | undefined }
}

interface Waiting {
  readonly question: Question
  readonly transfer: readonly Transferable[]
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** As many as there are processors; more than four only fight for the disk. */
export function usefulThreads(): number {
  return Math.min(4, Math.max(1, availableParallelism()))
}

/** Threads that do blocking work (hashing, packing, reading back) beside the loop. Whoever makes them calls `close`. */
export class Threads<W extends Work> {
  readonly count: number
  readonly #entry: URL
  readonly #idle: Worker[] = []
  readonly #busy = new Map<Worker, Waiting>()
  readonly #waiting: Waiting[] = []
  #started = 0
  #lastId = 0
  #closed = false

  /** `entry` is a module that calls `serveThread` with the same work. */
  constructor(entry: URL, count: number = usefulThreads()) {
    this.#entry = entry
    this.count = count
  }

  /** Does one task in a thread that is free, or the next that will be. `transfer` lists memory of the input that is handed over. */
  run<K extends keyof W & string>(task: K, input: Parameters<W[K]>[0], transfer: readonly Transferable[] = []): Promise<ReturnType<W[K]>> {
    if (this.#closed) return Promise.reject(new Error('the threads are closed'))
    return new Promise<ReturnType<W[K]>>((resolve, reject) => {
      this.#lastId += 1
      const question = { id: this.#lastId, task, input }
      this.#waiting.push({ question, transfer, resolve: (value) => resolve(value as ReturnType<W[K]>), reject })
      this.#next()
    })
  }

  /** Ends every thread; what is still asked for is refused. */
  async close(): Promise<void> {
    this.#closed = true
    const workers = [...this.#idle, ...this.#busy.keys()]
    const left = [...this.#busy.values(), ...this.#waiting.splice(0)]
    this.#busy.clear()
    for (const { reject } of left) reject(new Error('the threads were closed'))
    await Promise.all(workers.map((worker) => worker.terminate()))
  }

  #next(): void {
    if (this.#waiting.length === 0) return
    const worker = this.#idle.pop() ?? (this.#started < this.count ? this.#start() : undefined)
    const waiting = worker === undefined ? undefined : this.#waiting.shift()
    if (worker === undefined || waiting === undefined) return
    this.#busy.set(worker, waiting)
    worker.postMessage(waiting.question, waiting.transfer)
  }

  #start(): Worker {
    const worker = new Worker(this.#entry)
    this.#started += 1
    worker.on('message', (answer: Answer) => this.#settle(worker, answer))
    worker.on('error', (error) => this.#lose(worker, error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', (code) => this.#lose(worker, new Error(`a thread ended with ${code}`)))
    return worker
  }

  #settle(worker: Worker, { value, failure }: Answer): void {
    const waiting = this.#busy.get(worker)
    if (waiting === undefined) return
    this.#busy.delete(worker)
    this.#idle.push(worker)
    if (failure === undefined) waiting.resolve(value)
    else waiting.reject(Object.assign(new Error(failure.message), failure.code === undefined ? {} : { code: failure.code }))
    this.#next()
  }

  #lose(worker: Worker, error: Error): void {
    const waiting = this.#busy.get(worker)
    const at = this.#idle.indexOf(worker)
    if (waiting === undefined && at < 0) return
    if (at >= 0) this.#idle.splice(at, 1)
    this.#busy.delete(worker)
    this.#started -= 1
    waiting?.reject(error)
    if (!this.#closed) this.#next()
  }
}

/** Called by a thread's module: answers with what the functions of `work` give. */
export function serveThread(work: Work): void {
  parentPort?.on('message', ({ id, task, input }: Question) => {
    try {
      const value = work[task]?.(input as never)
      const bytes = (value as { readonly bytes?: unknown } | undefined)?.bytes
      parentPort?.postMessage({ id, value } satisfies Answer, bytes instanceof Uint8Array ? [bytes.buffer as ArrayBuffer] : [])
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException
      parentPort?.postMessage({ id, failure: { message, code } } satisfies Answer, [])
    }
  })
}
