import type { Host } from '../../src/model/host.ts'
import { hour } from '../../src/model/instant.ts'
import { makeEngine, makeFacts, makeHost, provenReady, start } from './build-world.ts'

/** Of the ill that only a restart cures. */
export const illness = 'the kernel counts a guest that is not there'
export const repairQuarantine = {
  kind: 'quarantined' as const,
  at: start,
  reason: illness,
  cure: 'wait',
  repair: { engines: ['tart' as const], tries: 0 },
}

/** A Mac as it reports itself at a moment: ill or well, its last boot of a machine by `bootedAt`. */
export function mac(
  number: number,
  seen: { readonly isIll?: boolean; readonly at?: number; readonly bootedAt?: number },
  changes: Partial<Host> = {},
): Host {
  const { isIll = false, at = start, bootedAt = start - hour } = seen
  const readiness = [provenReady('tart', 'macos-15', bootedAt), provenReady('user', null, at)].map((entry) => ({
    ...entry,
    check: { ok: !isIll || entry.engine !== 'tart', at, reason: '' },
  }))
  const facts = makeFacts({
    at,
    engines: [makeEngine('tart', { ok: !isIll }), makeEngine('user')],
    images: ['macos-15'],
    readiness,
    needsReboot: isIll ? [{ engine: 'tart', reason: illness }] : [],
  })
  return makeHost(number, { facts, lastSeenAt: at, ...changes })
}
