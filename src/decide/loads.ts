import type { EngineName } from '../model/job.ts'
import type { Shape } from '../model/shape.ts'
import type { HostLoad, LiveAttempt, QueueLoad, World } from '../model/world.ts'
import { withEntry, withoutEntry } from './sorted-map.ts'

/** The two sums over live attempts, after one attempt came, changed or went. They are kept so that a pass need not look at every attempt. */
export function withLoads(world: World, before: LiveAttempt | undefined, after: LiveAttempt | undefined): World {
  let { hostLoads, queueLoads } = world
  if (before !== undefined) {
    hostLoads = withoutAttempt(hostLoads, before)
    queueLoads = countQueue(queueLoads, before, -1)
  }
  if (after !== undefined) {
    hostLoads = withAttempt(hostLoads, after)
    queueLoads = countQueue(queueLoads, after, 1)
  }
  return { ...world, hostLoads, queueLoads }
}

function withAttempt(loads: World['hostLoads'], live: LiveAttempt): World['hostLoads'] {
  const { hostId } = live.attempt
  const others = loads.get(hostId)?.attempts ?? []
  return withEntry(loads, hostId, loadOfAttempts([...others, live]))
}

function withoutAttempt(loads: World['hostLoads'], live: LiveAttempt): World['hostLoads'] {
  const { hostId, id } = live.attempt
  const others = (loads.get(hostId)?.attempts ?? []).filter((other) => other.attempt.id !== id)
  return others.length === 0 ? withoutEntry(loads, hostId) : withEntry(loads, hostId, loadOfAttempts(others))
}

/** Added up anew each time: taking a fraction of a CPU away from a sum would leave a rest. */
function loadOfAttempts(unordered: readonly LiveAttempt[]): HostLoad {
  const attempts = [...unordered].sort((a, b) => (a.attempt.id < b.attempt.id ? -1 : 1))
  const sandboxes: Record<EngineName, number> = { user: 0, qemu: 0, tart: 0 }
  const sum = { cpu: 0, memoryMiB: 0, diskMiB: 0, assignedAt: 0 }
  for (const { attempt, shape, engine } of attempts) {
    sum.cpu += shape.cpu
    sum.memoryMiB += shape.memoryMiB
    sum.diskMiB += shape.diskMiB
    sum.assignedAt = Math.max(sum.assignedAt, assignedAt(attempt))
    sandboxes[engine] += 1
  }
  const first = attempts[0]?.attempt.hostBootId ?? null
  const bootId = attempts.every(({ attempt }) => attempt.hostBootId === first) ? first : null
  const isCancelling = attempts.some((live) => live.jobCancelled !== null && live.attempt.cancelRequested === null)
  return { ...sum, attempts, sandboxes, bootId, isCancelling }
}

export function assignedAt(attempt: LiveAttempt['attempt']): number {
  return attempt.times.assigned ?? attempt.receiptAt
}

function countQueue(loads: World['queueLoads'], live: LiveAttempt, by: 1 | -1): World['queueLoads'] {
  const load: QueueLoad = loads.get(live.queue) ?? { running: 0, parts: new Map() }
  const running = load.running + by
  if (running === 0) return withoutEntry(loads, live.queue)
  const { engine, shape } = live
  const key = partKey(engine, shape)
  const count = (load.parts.get(key)?.count ?? 0) + by
  const parts = count === 0 ? withoutEntry(load.parts, key) : withEntry(load.parts, key, { engine, shape, count })
  return withEntry(loads, live.queue, { running, parts })
}

function partKey(engine: EngineName, shape: Shape): string {
  return `${engine}/${shape.cpu}x${shape.memoryMiB}x${shape.diskMiB}`
}
