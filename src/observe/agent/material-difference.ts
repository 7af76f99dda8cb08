import type { HostFacts } from '../../model/host.ts'

/** Changes smaller than these are noise, and not worth a message of their own. */
const noise = { load: 1, fraction: 0.02, memoryMiB: 512, diskMiB: 2048, skewMs: 250 } as const

function differs(a: number, b: number, by: number): boolean {
  return Math.abs(a - b) >= by
}

function metricsDiffer(a: HostFacts, b: HostFacts): boolean {
  return (
    differs(a.load1, b.load1, noise.load) ||
    differs(a.diskUsed, b.diskUsed, noise.fraction) ||
    differs(a.memoryFree, b.memoryFree, noise.fraction) ||
    differs(a.free.memoryMiB, b.free.memoryMiB, noise.memoryMiB) ||
    differs(a.free.diskMiB, b.free.diskMiB, noise.diskMiB) ||
    differs(a.clockSkewMs ?? 0, b.clockSkewMs ?? 0, noise.skewMs)
  )
}

/** What is compared word for word: all but the numbers that never stand still. */
function lasting(facts: HostFacts): unknown {
  const {
    at: _at,
    free: _free,
    load1: _load,
    diskUsed: _disk,
    memoryFree: _memory,
    network,
    clockSkewMs,
    tcpSockets: _sockets,
    ...rest
  } = facts
  return { ...rest, addresses: network.addresses, skewKnown: clockSkewMs !== null }
}

/** Whether a controller that knows `a` should hear of `b`. */
export function materialDifference(a: HostFacts, b: HostFacts): boolean {
  return metricsDiffer(a, b) || JSON.stringify(lasting(a)) !== JSON.stringify(lasting(b))
}
