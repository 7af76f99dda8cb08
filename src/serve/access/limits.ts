import type { Instant, Milliseconds } from '../../model/instant.ts'
import type { Clock } from '../../ports/time.ts'

export interface TryLimit {
  /** Counts a try. Returns milliseconds until the next one is allowed; 0: this one is. */
  take(key: string): Milliseconds
  /** Milliseconds until a try would be allowed, without counting one. */
  wait(key: string): Milliseconds
  /** Takes back the last counted try: it was a good one. */
  giveBack(key: string): void
}

export interface TryLimitOptions {
  readonly clock: Clock
  readonly tries: number
  readonly windowMs: Milliseconds
  /** Keys remembered at once; the one silent longest is forgotten. */
  readonly maxKeys?: number
}

/**
 * Allows so many tries per key in any window of the given length, by the moments of the last tries. A try that is refused is not counted, so waiting helps.
 */
export function createTryLimit(options: TryLimitOptions): TryLimit {
  const { clock, tries, windowMs, maxKeys = 10_000 } = options
  const moments = new Map<string, Instant[]>()

  function recent(key: string): Instant[] {
    const now = clock.steady()
    return (moments.get(key) ?? []).filter((at) => now - at < windowMs)
  }

  function wait(key: string): Milliseconds {
    const last = recent(key)
    const oldest = last[last.length - tries]
    return oldest === undefined ? 0 : oldest + windowMs - clock.steady()
  }

  function take(key: string): Milliseconds {
    const waitMs = wait(key)
    if (waitMs > 0) return waitMs
    const next = [...recent(key), clock.steady()]
    // Deleting first moves the key to the end: a Map keeps the order of insertion, so its first key is the one silent longest.
    moments.delete(key)
    moments.set(key, next)
    forgetOldest(moments, maxKeys)
    return 0
  }

  function giveBack(key: string): void {
    const last = recent(key)
    last.pop()
    if (last.length === 0) moments.delete(key)
    else moments.set(key, last)
  }

  return { take, wait, giveBack }
}

export interface RateLimit {
  /** Takes one request from a caller's allowance. Returns milliseconds to wait; 0: go on. */
  take(key: string): Milliseconds
}

/** A steady allowance per caller with room for a burst of one minute's worth. */
export function createRateLimit(options: { readonly clock: Clock; readonly perMinute: number; readonly maxKeys?: number }): RateLimit {
  const { clock, perMinute, maxKeys = 10_000 } = options
  const allowances = new Map<string, { left: number; at: Instant }>()
  const perMs = perMinute / 60_000

  function take(key: string): Milliseconds {
    const now = clock.steady()
    const before = allowances.get(key) ?? { left: perMinute, at: now }
    const left = Math.min(perMinute, before.left + (now - before.at) * perMs)
    allowances.delete(key)
    allowances.set(key, { left: left < 1 ? left : left - 1, at: now })
    forgetOldest(allowances, maxKeys)
    return left < 1 ? Math.ceil((1 - left) / perMs) : 0
  }

  return { take }
}

function forgetOldest<V>(map: Map<string, V>, maxKeys: number): void {
  for (const key of map.keys()) {
    if (map.size <= maxKeys) return
    map.delete(key)
  }
}

/** What an address is limited by: an IPv6 caller has a whole /64, so the limit is per /64. IPv4 in IPv6 counts as IPv4. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::', 2)
  const first = head.split(':').filter((part) => part !== '')
  const last = (tail ?? '').split(':').filter((part) => part !== '')
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0')
  return `${[...first, ...zeros, ...last]
    .slice(0, 4)
    .map((part) => Number.parseInt(part, 16).toString(16))
    .join(':')}::/64`
}
