import type { Timer } from '../../ports/time.ts'
import { markTokensUsed } from '../../record/tokens.ts'
import type { ServePorts } from '../serve-ports.ts'

/** Remembers when API tokens were used and writes it in batches: one write per 10 s instead of one per request. */
export interface TokenUse {
  note(tokenId: string, at: number): void
  /** Writes what is remembered. */
  flush(): Promise<void>
}

const flushMs = 10_000

export function createTokenUse(ports: ServePorts): TokenUse {
  let uses = new Map<string, number>()
  let timer: Timer | null = null

  function note(tokenId: string, at: number): void {
    uses.set(tokenId, at)
    timer ??= ports.timers.after(flushMs, () => void flush())
  }

  async function flush(): Promise<void> {
    timer?.cancel()
    timer = null
    if (uses.size === 0) return
    const batch = uses
    uses = new Map()
    try {
      await ports.store.write((tx) => markTokensUsed(tx, batch))
    } catch (error) {
      // Lost at worst: when a token was last used. Nothing decides by it.
      ports.log.warn('could not write when API tokens were last used', { error, tokens: batch.size })
    }
  }

  return { note, flush }
}
