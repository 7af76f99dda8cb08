import { z } from 'zod'
import { formatDuration, second } from '../../model/instant.ts'
import { Duration, Moment } from '../duration.ts'
import { wholeBetween } from '../random.ts'
import type { FaultKind } from './fault-kind.ts'
import { strike, struckBy, struckWords, Struck } from './struck.ts'

const window = { at: Moment, for: Duration }

const StoreFull = z.strictObject({ kind: z.literal('storeFull'), ...window })

export const storeFull: FaultKind<z.infer<typeof StoreFull>> = {
  kind: 'storeFull',
  schema: StoreFull,
  perDay: 1,
  per: 'fleet',
  draw: (random, at) => ({ kind: 'storeFull', at, for: wholeBetween(random, 5, 600) * second }),
  words: () => 'the disk of the database is full',
  begin(fleet) {
    fleet.store.faults.full = true
  },
  end(fleet) {
    fleet.store.faults.full = false
  },
}

const StoreFails = z.strictObject({ kind: z.literal('storeFails'), ...window })

/** Commits fail: nothing of them happened, and who asked is told so. */
export const storeFails: FaultKind<z.infer<typeof StoreFails>> = {
  kind: 'storeFails',
  schema: StoreFails,
  perDay: 1,
  per: 'fleet',
  draw: (random, at) => ({ kind: 'storeFails', at, for: wholeBetween(random, 1, 120) * second }),
  words: () => 'commits of the database fail',
  begin(fleet) {
    fleet.store.faults.commitFails = true
  },
  end(fleet) {
    fleet.store.faults.commitFails = false
  },
}

const StoreCut = z.strictObject({ kind: z.literal('storeCut'), ...window, controller: Struck })

/** A controller does not reach the database, while hosts and people reach it. */
export const storeCut: FaultKind<z.infer<typeof StoreCut>> = {
  kind: 'storeCut',
  schema: StoreCut,
  perDay: 2,
  per: 'fleet',
  draw: (random, at, { controllers }) => ({
    kind: 'storeCut',
    at,
    for: wholeBetween(random, 2, 300) * second,
    controller: wholeBetween(random, 0, controllers - 1),
  }),
  words: (fault) => `${struckWords(fault)} does not reach the database`,
  begin(fleet, fault) {
    const found = strike(fleet, fault)
    if (found !== undefined) fleet.store.faults.unreachableFor.add(found.name)
  },
  end(fleet, fault) {
    const found = struckBy(fault)
    if (found === undefined) return
    fleet.store.faults.unreachableFor.delete(found.name)
    fleet.store.reconnected(found.name)
  },
}

const StoreSlow = z.strictObject({ kind: z.literal('storeSlow'), ...window, ms: Duration })

export const storeSlow: FaultKind<z.infer<typeof StoreSlow>> = {
  kind: 'storeSlow',
  schema: StoreSlow,
  perDay: 1,
  per: 'fleet',
  draw: (random, at) => ({ kind: 'storeSlow', at, for: wholeBetween(random, 10, 300) * second, ms: wholeBetween(random, 50, 3000) }),
  words: ({ ms }) => `the database takes ${formatDuration(ms)} longer for everything`,
  begin(fleet, { ms }) {
    fleet.store.faults.slowMs = ms
  },
  end(fleet) {
    fleet.store.faults.slowMs = 0
  },
}
