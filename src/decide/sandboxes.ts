import { formatDuration, minute, type Instant, type Milliseconds } from '../model/instant.ts'
import type { Step } from '../model/plan.ts'
import { sandboxCan, type Sandbox, type SandboxState } from '../model/sandbox.ts'
import type { Moment } from './fleet.ts'

/** Longest time between the warning and the end of a sandbox. */
export const longestWarning: Milliseconds = 10 * minute

export type LeaseTier = 'ttl' | 'idle' | 'hard'

export interface LeaseEnd {
  readonly tier: LeaseTier
  readonly at: Instant
  /** When people are warned. */
  readonly warnAt: Instant
}

/**
 * Which limit ends a sandbox, when, and when people are warned: ten minutes before, or a fifth of the tier's length when that is less.
 * The hard limit stands whatever the others say.
 *
 * @example leaseEnd(sandbox).at - now // milliseconds left
 */
export function leaseEnd(sandbox: Sandbox): LeaseEnd {
  const tiers: { readonly tier: LeaseTier; readonly from: Instant; readonly at: Instant }[] = [
    { tier: 'hard', from: sandbox.createdAt, at: sandbox.hardExpiresAt },
    { tier: 'ttl', from: sandbox.createdAt, at: sandbox.expiresAt },
  ]
  if (sandbox.idleMs !== null) tiers.push({ tier: 'idle', from: sandbox.lastUsedAt, at: sandbox.lastUsedAt + sandbox.idleMs })
  const [first = { tier: 'hard' as const, from: sandbox.createdAt, at: sandbox.hardExpiresAt }] = tiers.sort((a, b) => a.at - b.at)
  const lead = Math.min(longestWarning, Math.floor((first.at - first.from) / 5))
  return { tier: first.tier, at: first.at, warnAt: first.at - Math.max(0, lead) }
}

/** Warns before a sandbox's lease ends, and removes it when it did. A sandbox that nobody could warn of gets its warning first, in the same plan. */
export function decideSandboxes(moment: Moment): Step[] {
  const steps: Step[] = []
  for (const sandbox of moment.world.sandboxes.values()) {
    if (!(sandboxCan.remove as readonly SandboxState[]).includes(sandbox.state)) continue
    const end = leaseEnd(sandbox)
    moment.horizon.note(end.warnAt)
    moment.horizon.note(end.at)
    const { id: sandboxId, generation } = sandbox
    const isWarned = sandbox.warnedAt !== null && sandbox.warnedAt >= end.warnAt
    if (moment.now >= end.warnAt && !isWarned) steps.push({ kind: 'warnSandbox', sandboxId, generation, expiresAt: end.at })
    if (moment.now >= end.at) steps.push({ kind: 'removeSandbox', sandboxId, generation, reason: reasonOf(sandbox, end) })
  }
  return steps
}

function reasonOf(sandbox: Sandbox, end: LeaseEnd): string {
  switch (end.tier) {
    case 'idle':
      return `not used for ${formatDuration(sandbox.idleMs ?? 0)}`
    case 'ttl':
      return `its lease of ${formatDuration(sandbox.expiresAt - sandbox.createdAt)} is over`
    case 'hard':
      return `its hard limit of ${formatDuration(sandbox.hardExpiresAt - sandbox.createdAt)} is over`
  }
}
