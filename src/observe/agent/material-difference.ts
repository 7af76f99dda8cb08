import type { HostFacts } from '../../model/host.ts'
import type { Milliseconds } from '../../model/instant.ts'
import type { Proof, Readiness } from '../../model/readiness.ts'

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
    differs(a.clockSkewMs ?? 0, b.clockSkewMs ?? 0, noise.skewMs) ||
    (a.clockSkewMs === null) !== (b.clockSkewMs === null)
  )
}

/** What never stands still, and what is compared in a way of its own. */
const moving: ReadonlySet<string> = new Set([
  'at',
  'free',
  'load1',
  'diskUsed',
  'memoryFree',
  'network',
  'clockSkewMs',
  'tcpSockets',
  'readiness',
])

const nothing: ReadonlySet<string> = new Set()

/** Whether two values say the same word for word: a field that is left out is one that is undefined. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => isSame(item, b[index]))
  return isRecord(a) && isRecord(b) && isSameRecord(a, b, nothing)
}

/** Without the fields that are left out of it. Allocates nothing: it runs with each look. */
function isSameRecord(a: Record<string, unknown>, b: Record<string, unknown>, without: ReadonlySet<string>): boolean {
  for (const name in a) if (!without.has(name) && !isSame(a[name], b[name])) return false
  for (const name in b) if (!(name in a) && !without.has(name) && b[name] !== undefined) return false
  return true
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Checks are repeated every few minutes: one that finds what the one before found is no news before that grows old. */
function isSameReadiness(a: Readiness, b: Readiness): boolean {
  return a.engine === b.engine && a.image === b.image && isSame(a.boot, b.boot) && isSameCheck(a.check, b.check)
}

function isSameCheck(a: Proof | null, b: Proof | null): boolean {
  return a === b || (a !== null && b !== null && a.ok === b.ok && a.reason === b.reason)
}

/** Whether a controller that knows `a` should hear of `b`. */
export function materialDifference(a: HostFacts, b: HostFacts): boolean {
  const isStill =
    !metricsDiffer(a, b) &&
    isSame(a.network.addresses, b.network.addresses) &&
    a.readiness.length === b.readiness.length &&
    a.readiness.every((readiness, index) => isSameReadiness(readiness, b.readiness[index] ?? readiness))
  return !isStill || !isSameRecord(a, b, moving)
}

/** Whether `b` renews a check that is older than this where only `a` is known. */
export function renewsCheck(a: HostFacts, b: HostFacts, age: Milliseconds): boolean {
  return a.readiness.some(({ check }, index) => {
    const renewed = b.readiness[index]?.check ?? null
    return check !== null && renewed !== null && renewed.at > check.at && b.at - check.at > age
  })
}
