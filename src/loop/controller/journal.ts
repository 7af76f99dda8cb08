import type { Event, SealedEvent } from '../../model/event.ts'
import { minute, second, type Instant, type Milliseconds } from '../../model/instant.ts'
import type { SyncResponse } from '../../model/sync.ts'
import type { Log } from '../../ports/log.ts'
import type { Signer } from '../../ports/secrets.ts'
import type { Store, Writer } from '../../ports/store.ts'
import type { Clock, Timers } from '../../ports/time.ts'
import { appendEvents } from '../../record/journal.ts'
import { cutJournal, hasUnsealed, readNewestCheckpoint, sealEvents } from '../../record/seal.ts'
import { createWakeUp } from '../wake-up.ts'
import type { Lead } from './lead.ts'

/** The journal as one controller keeps it: appends to it, and while it leads seals what waits. */
export interface JournalKeeper {
  /** Puts events into the journal, in the transaction of what they tell of. */
  append(tx: Writer, events: readonly Event[]): Promise<void>
  /** Calls back after each commit that may have appended events; by this controller, or, where there are others, by anyone. */
  onAppended(listener: () => void): void
  checkpoint(): SyncResponse['checkpoint']
  /** Seals after commits that appended something, within a second. */
  start(): void
  /** Seals what waits now, or learns how far another controller has sealed. */
  seal(): Promise<void>
  /** Cuts off what is older; answers how many events went. */
  cut(epoch: number, before: Instant): Promise<number>
  /** Ends what `start` began. */
  stop(): Promise<void>
}

export interface JournalKeeperOptions {
  readonly store: Store
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly signer: Signer
  readonly lead: () => Lead
  /** No other controller writes to this store. */
  readonly alone: boolean
  readonly sealed?: (events: readonly SealedEvent[]) => void
}

/** What is appended within this time is sealed together. */
const gather: Milliseconds = second / 2
/** Without word of a commit: that of another controller may get lost. */
const sealAnyway = { alone: minute, beside: 10 * second } as const

export async function createJournalKeeper(options: JournalKeeperOptions): Promise<JournalKeeper> {
  const { store, clock, log, signer, alone } = options
  const wakeUp = createWakeUp(options.timers)
  const listeners = [wakeUp.wake]
  let checkpoint: SyncResponse['checkpoint'] = await store.read(readNewestCheckpoint)
  let isAppending = false
  let stopped = false
  let running: Promise<void> = Promise.resolve()
  const stopHints = store.onCommit(() => {
    if (alone && !isAppending) return
    isAppending = false
    for (const listener of listeners) listener()
  })

  async function seal(): Promise<void> {
    const lead = options.lead()
    if (!lead.leads()) {
      checkpoint = await store.read(readNewestCheckpoint)
      return
    }
    const epoch = lead.epoch()
    for (let more = true; more;) {
      if (!(await store.read(hasUnsealed))) return
      const result = await store.write((tx) => sealEvents(tx, { epoch, now: clock.now(), signer }))
      if (result.checkpoint !== null) checkpoint = { number: result.checkpoint.number, hash: result.checkpoint.hash }
      if (result.events.length > 0) options.sealed?.(result.events)
      more = result.more
    }
  }

  async function run(): Promise<void> {
    for (;;) {
      await wakeUp.pause(gather)
      if (stopped) return
      try {
        await seal()
      } catch (error) {
        if (!stopped) log.warn('sealing the journal failed; it is tried again', { error })
        continue
      }
      await wakeUp.wait(alone ? sealAnyway.alone : sealAnyway.beside)
    }
  }

  return {
    async append(tx, events) {
      await appendEvents(tx, options.lead().epoch(), events)
      // Noticed when this is committed; a transaction that is not costs a look at the next commit.
      isAppending = true
    },
    onAppended: (listener) => void listeners.push(listener),
    checkpoint: () => checkpoint,
    start() {
      running = run()
    },
    seal,
    async cut(epoch, before) {
      let events = 0
      for (let cut = 1; cut > 0; events += cut) {
        cut = await store.write((tx) => cutJournal(tx, { epoch, now: clock.now(), signer, before }))
        // The cut is an event itself.
        if (cut > 0) wakeUp.wake()
      }
      return events
    },
    async stop() {
      stopped = true
      stopHints()
      wakeUp.close()
      await running
    },
  }
}
