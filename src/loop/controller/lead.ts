import { CideryError } from '../../model/errors.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { Log } from '../../ports/log.ts'
import type { Store } from '../../ports/store.ts'
import type { Clock } from '../../ports/time.ts'
import { readLead, releaseLead, renewLead, takeLead } from '../../record/lead.ts'

export interface Lead {
  /** Takes or renews the lead when it is time; null while another controller leads. */
  hold(): Promise<number | null>
  /** Looks whether the lead was lost meanwhile. */
  check(): Promise<void>
  /** The highest epoch that this controller knows of: its own while it leads. */
  epoch(): number
  leads(): boolean
  /** After how long `hold` is to be asked again: in time to renew a lease that others wait for, or to see that theirs ran out. */
  holdEvery(): Milliseconds
  release(): Promise<void>
}

export interface LeadOptions {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly holder: string
  /** The state directory is locked by this process: nobody else can lead. */
  readonly alone: boolean
  readonly ttl?: Milliseconds
  /** Called when this controller took the lead under a new epoch. */
  readonly taken: (epoch: number) => Promise<void>
}

/** A controller that was killed leads for this long at most; with the look of those that follow, the lead moves within ten seconds. */
const defaultTtl: Milliseconds = 8 * second
const followEvery: Milliseconds = second

/** Holds the lead by a lease that is timed by the database's clock and renewed when a third of it has passed. */
export function createLead(options: LeadOptions): Lead {
  const { store, clock, holder } = options
  const ttl = options.ttl ?? defaultTtl
  let epoch = 0
  let leads = false
  let renewedAt: Milliseconds = 0

  async function take(): Promise<number | null> {
    const now = await store.now()
    const current = await store.read(readLead)
    epoch = current?.epoch ?? epoch
    // Looked at before it is asked for: those that follow would write every second otherwise.
    if (current !== null && current.holder !== holder && current.expiresAt > now && !options.alone) return null
    const lead = await store.write((tx) => takeLead(tx, { holder, now, ttl, alone: options.alone }))
    if (lead === null) return null
    epoch = lead.epoch
    leads = true
    renewedAt = clock.steady()
    options.log.info('this controller leads', { epoch })
    await options.taken(epoch)
    return epoch
  }

  async function renew(): Promise<void> {
    const now = await store.now()
    await store.write((tx) => renewLead(tx, { epoch, now, ttl }))
    renewedAt = clock.steady()
  }

  function lost(error: unknown): never {
    leads = false
    options.log.warn('this controller does not lead any more', { epoch })
    throw error
  }

  return {
    async hold() {
      if (!leads) return take()
      // Nobody can take it from the one who is alone on the state, however old its lease is.
      if (options.alone || clock.steady() - renewedAt < ttl / 3) return epoch
      try {
        await renew()
      } catch (error) {
        if (error instanceof CideryError && error.code === 'STALE_EPOCH') lost(error)
        throw error
      }
      return epoch
    },
    async check() {
      const now = await store.read(readLead)
      if (leads && now?.epoch !== epoch) leads = false
    },
    epoch: () => epoch,
    leads: () => leads,
    holdEvery() {
      if (options.alone) return Number.POSITIVE_INFINITY
      return leads ? ttl / 3 : followEvery
    },
    async release() {
      if (!leads) return
      leads = false
      await store.write((tx) => releaseLead(tx, epoch))
    },
  }
}
