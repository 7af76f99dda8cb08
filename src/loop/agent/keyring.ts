import { createHash } from 'node:crypto'
import { CideryError } from '../../model/errors.ts'
import type { AgentIdentity, AgentJournal, ControllerLink } from '../../ports/agent.ts'
import type { Random } from '../../ports/random.ts'

/** A key as it travels: 32 random bytes, with a prefix that secret scanners know. */
export function newHostKey(random: Random): string {
  return `cidery_key_${Buffer.from(random.bytes(32)).toString('base64url')}`
}

export function keyHash(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

/**
 * The host's key, and its successor while one is announced. A new key is written down before it is announced and used only after, so that
 * whatever dies in between, one of the two is accepted.
 */
export interface Keyring {
  /** The key to show now. */
  present(): string
  identity(): AgentIdentity
  /** Takes the identity that was stored, or that the enrolment gave. */
  hold(identity: AgentIdentity): void
  /** Makes and announces a successor, unless one is under way. */
  rotate(link: Pick<ControllerLink, 'rotateKey'>): Promise<void>
  /** The controller accepted the key shown under this name. */
  accepted(key: string): Promise<void>
  /** The controller refused the key: shows the other one next, when there are two. */
  refused(): void
}

export function keyringOf(journal: AgentJournal, random: Random): Keyring {
  let identity: AgentIdentity | undefined
  let showNext = false

  function held(): AgentIdentity {
    if (identity === undefined) throw new CideryError('UNAUTHENTICATED', 'this host is not enrolled', { hint: 'cidery host add' })
    return identity
  }

  return {
    present: () => (identity === undefined ? '' : showNext && identity.nextKey !== null ? identity.nextKey : identity.key),
    identity: held,
    hold(next) {
      identity = next
      showNext = next.nextKey !== null
    },
    async rotate(link) {
      const old = held()
      const nextKey = old.nextKey ?? newHostKey(random)
      identity = { ...old, nextKey }
      showNext = false
      await journal.saveIdentity(identity)
      await link.rotateKey(keyHash(nextKey))
      showNext = true
    },
    async accepted(key) {
      const old = held()
      if (old.nextKey === null || key !== old.nextKey) return
      identity = { ...old, key: old.nextKey, nextKey: null }
      showNext = false
      await journal.saveIdentity(identity)
    },
    refused() {
      if (held().nextKey !== null) showNext = !showNext
    },
  }
}
