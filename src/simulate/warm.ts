import type { SandboxRequest, WarmRequest } from '../ports/engine.ts'

/** What the warm sandboxes of a simulated engine are made with. */
export interface WarmParts {
  /** Makes a sandbox and boots it; rejects when it cannot. */
  readonly boot: (request: SandboxRequest) => Promise<void>
  /** Removes one, at once. */
  readonly remove: (id: string) => void
  /** Whether there is a slot for one more. */
  readonly hasRoom: () => boolean
}

/** Sandboxes that a simulated engine keeps started: in free slots, and given whole to the first request that is alike. */
export interface WarmSandboxes {
  isWarm(id: string): boolean
  /** The id of one that is alike and no longer warm now, waited for when it is just being made; null when there is none. */
  take(request: SandboxRequest): Promise<string | null>
  /** Removes warm ones until there is room for a sandbox that none of them is like. */
  makeRoom(): void
  keep(wanted: readonly WarmRequest[], signal: AbortSignal): Promise<void>
}

interface Warm {
  readonly id: string
  readonly key: string
  readonly made: Promise<void>
  /** Promised to a request that waits until it is made. */
  taken: boolean
}

export function warmSandboxes({ boot, remove, hasRoom }: WarmParts): WarmSandboxes {
  const warm = new Map<string, Warm>()
  let count = 0

  function drop({ id }: Warm): void {
    warm.delete(id)
    remove(id)
  }

  async function begin({ like }: WarmRequest, key: string): Promise<void> {
    count += 1
    const id = `warm-${count}`
    const made = boot({ ...like, id, jobId: id, mount: null })
    const one: Warm = { id, key, made, taken: false }
    warm.set(id, one)
    try {
      await made
    } catch (error) {
      // It made room for another, or went to a request that learns of it as well.
      if (!warm.has(id) || one.taken) return
      drop(one)
      throw error
    }
  }

  return {
    isWarm: (id) => warm.has(id),
    async take(request) {
      const key = keyOf(request)
      const found = [...warm.values()].find((one) => one.key === key && !one.taken)
      if (found === undefined) return null
      found.taken = true
      try {
        await found.made
      } catch {
        // Then the request gets one of its own, whose boot tells what is wrong.
        drop(found)
        return null
      }
      warm.delete(found.id)
      return found.id
    },
    makeRoom() {
      for (const one of warm.values()) {
        if (hasRoom()) return
        if (!one.taken) drop(one)
      }
    },
    async keep(wanted, signal) {
      const keys = new Set(wanted.map(({ like }) => keyOf(like)))
      for (const one of warm.values()) if (!keys.has(one.key) && !one.taken) drop(one)
      for (const request of wanted) {
        const key = keyOf(request.like)
        const alike = (): number => [...warm.values()].filter((one) => one.key === key && !one.taken).length
        while (alike() < request.count && hasRoom() && !signal.aborted) await begin(request, key)
      }
    },
  }
}

/** What a warm sandbox has to have in common with a request. */
function keyOf({ image, shape, network }: Pick<SandboxRequest, 'image' | 'shape' | 'network'>): string {
  return JSON.stringify([image, shape.cpu, shape.memoryMiB, shape.diskMiB, network])
}
