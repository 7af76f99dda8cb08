import type { Host } from '../model/host.ts'
import { minute, second, type Instant, type Milliseconds } from '../model/instant.ts'
import type { Limits } from '../model/spec.ts'
import type { World } from '../model/world.ts'

/** What a sync may take beyond its poll: network, a busy host, a flush of what was heard. */
export const syncMargin: Milliseconds = 5 * second

/** What the host's clock and the way of the last answer may add to an attempt's lease. */
export const leaseSlack: Milliseconds = minute

/** Silence after which a host has missed one sync: nothing new is placed there. */
export function staleInterval(limits: Limits): Milliseconds {
  return limits.syncPoll + syncMargin
}

/** Silence after which a host is lost. */
export function lostInterval(limits: Limits): Milliseconds {
  return limits.missedSyncs * staleInterval(limits)
}

/** When a host was last heard of, or enrolled. */
export function heardAt(host: Host, lastSeen: World['lastSeen']): Instant {
  return Math.max(host.lastSeenAt ?? host.enrolledAt, lastSeen.get(host.id) ?? 0)
}

/** First moment at which a host that was heard of at `heard` counts as lost: never before this controller listened for a whole interval. */
export function lostAt(heard: Instant, world: Pick<World, 'listeningSince'>, limits: Limits): Instant {
  return Math.max(heard, world.listeningSince) + lostInterval(limits)
}
