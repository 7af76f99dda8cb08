import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { Random } from '../ports/random.ts'
import type { Timers } from '../ports/time.ts'
import { never } from './life.ts'
import { between } from './random.ts'

/** What is wrong with the line between one host and its controllers. Fractions of messages, 0…1. */
export interface LineFaults {
  lose: number
  double: number
  /** This much later at most, each message on its own: later ones overtake earlier ones. */
  lateMs: Milliseconds
  /** Nothing goes through. */
  cut: boolean
}

export function goodLine(): LineFaults {
  return { lose: 0, double: 0, lateMs: 0, cut: false }
}

export interface Line {
  readonly faults: LineFaults
  /** Carries one request there and its answer back. `work` may be called twice, or not at all. */
  carry<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>
}

const latency: readonly [Milliseconds, Milliseconds] = [1, 15]
/** A connection that is refused says so soon; one into the void says nothing until somebody gives up. */
const voidTakes: Milliseconds = 20_000

export function createLine(timers: Timers, random: Random): Line {
  const faults = goodLine()

  /** The way of one message; false when it got lost. */
  async function travel(): Promise<boolean> {
    if (faults.cut || random.fraction() < faults.lose) return false
    const late = faults.lateMs > 0 ? random.fraction() * faults.lateMs : 0
    await timers.sleep(between(random, ...latency) + late)
    return !faults.cut
  }

  /** What a lost message looks like from the side that waits: a connection that breaks, or silence. */
  async function lost(): Promise<never> {
    if (random.fraction() < 0.5) await timers.sleep(voidTakes)
    throw new CideryError('UNREACHABLE', 'the connection broke')
  }

  async function exchange<T>(work: (signal: AbortSignal) => Promise<T>, far: AbortSignal): Promise<T> {
    if (!(await travel())) return lost()
    if (far.aborted) return never()
    if (random.fraction() < faults.double) {
      const again = new AbortController()
      // The copy comes by itself, later; nobody waits for its answer.
      timers.after(between(random, 0, 5000), () => {
        work(again.signal).catch(() => undefined)
        timers.after(1000, () => again.abort())
      })
    }
    const answer = await work(far)
    return (await travel()) ? answer : lost()
  }

  function carry<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const far = new AbortController()
    return new Promise((resolve, reject) => {
      function leave(): void {
        // The other side hears of it as late as of anything.
        timers.after(latency[1], () => far.abort(new CideryError('UNREACHABLE', 'the caller went away')))
        reject(signal?.reason as Error)
      }
      if (signal?.aborted === true) return leave()
      signal?.addEventListener('abort', leave, { once: true })
      exchange(work, far.signal)
        .then(resolve, reject)
        .finally(() => signal?.removeEventListener('abort', leave))
    })
  }
  return { faults, carry }
}
