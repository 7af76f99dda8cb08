import type { LoopStatus } from '../loop/controller.ts'
import { second, type Milliseconds } from '../model/instant.ts'
import type { Store } from '../ports/store.ts'
import type { Clock, Timers } from '../ports/time.ts'
import type { Readiness } from '../serve/health.ts'

export interface ReadinessOptions {
  readonly store: Store
  readonly clock: Clock
  readonly timers: Timers
  readonly instance: string
  readonly loop: () => LoopStatus
}

/** A loop that has not passed for this long is stuck: it passes every five seconds with nothing to do, and every second to take the lead. */
const passMaxAge: Milliseconds = 20 * second
const storeDeadline: Milliseconds = 5 * second
/** The check is public and writes: what it found holds for this long. */
const keptFor: Milliseconds = second

/** Whether the controller does its work: its loop passed lately, and its store takes a write and reads it back. */
export function createReadiness(options: ReadinessOptions): (signal: AbortSignal) => Promise<Readiness> {
  const { store, clock, timers } = options
  let known: { readonly at: Milliseconds; readonly found: Promise<Readiness> } | null = null

  async function look(): Promise<Readiness> {
    const reasons = [...loopReasons(), ...(await storeReasons())]
    return { ready: reasons.length === 0, reasons }
  }

  function loopReasons(): readonly string[] {
    const { lastPassAt, problem } = options.loop()
    if (lastPassAt === null) return ['the loop has not passed yet']
    const age = clock.now() - lastPassAt
    if (age <= passMaxAge) return []
    return [`the loop has not passed for ${Math.round(age / second)} s${problem === null ? '' : ': its last pass failed'}`]
  }

  async function storeReasons(): Promise<readonly string[]> {
    let late = false
    let expire: () => void = () => undefined
    const deadline = new Promise<void>((resolve) => (expire = resolve))
    const timer = timers.after(storeDeadline, () => {
      late = true
      expire()
    })
    try {
      await Promise.race([writeAndRead(), deadline])
    } catch {
      // The reason may name paths or hosts, and the answer is public; the loop logs it.
      return ['the store does not write']
    } finally {
      timer.cancel()
    }
    return late ? [`the store did not answer within ${storeDeadline / second} s`] : []
  }

  async function writeAndRead(): Promise<void> {
    const key = 'ready'
    const value = `${options.instance} ${clock.now()}`
    await store.write((tx) =>
      tx
        .insertInto('meta')
        .values({ key, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute(),
    )
    await store.read((db) => db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirstOrThrow())
  }

  return () => {
    const now = clock.steady()
    if (known === null || now - known.at > keptFor) known = { at: now, found: look() }
    return known.found
  }
}
