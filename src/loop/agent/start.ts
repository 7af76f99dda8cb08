import { messageOf } from '../../act/agent/outcome.ts'
import { CideryError } from '../../model/errors.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { EnrolRequest } from '../../model/sync.ts'
import { syncProtocol } from '../../model/sync.ts'
import type { AgentIdentity, AgentPorts } from '../../ports/agent.ts'
import { failureKind, backoff } from './backoff.ts'
import { keyHash, newHostKey, type Keyring } from './keyring.ts'

/** How an agent waits for the network at start. */
export interface NetworkWait {
  readonly everyMs: Milliseconds
  readonly probeMs: Milliseconds
  readonly totalMs: Milliseconds
}

export const defaultNetworkWait: NetworkWait = { everyMs: 2 * second, probeMs: 2 * second, totalMs: 60 * second }

/**
 * Asks the controller's health URL until it answers, at most `totalMs` and one probe. False when it never did: the agent starts all
 * the same, and connects when the network appears.
 */
export async function waitForController(
  ports: Pick<AgentPorts, 'link' | 'clock' | 'timers'>,
  wait: NetworkWait,
  signal: AbortSignal,
): Promise<boolean> {
  const startedAt = ports.clock.steady()
  for (;;) {
    const probedAt = ports.clock.steady()
    if (await ports.link.health(wait.probeMs)) return true
    signal.throwIfAborted()
    const now = ports.clock.steady()
    if (now - startedAt >= wait.totalMs) return false
    const pause = Math.min(Math.max(0, wait.everyMs - (now - probedAt)), wait.totalMs - (now - startedAt))
    await ports.timers.sleep(pause, signal)
  }
}

export interface Enrolment {
  readonly token: string
  readonly controllerUrl: string
  readonly caFingerprint: string | null
  readonly hostname: string
  readonly os: EnrolRequest['os']
  readonly arch: EnrolRequest['arch']
}

/**
 * Gives this host its identity: the stored one, or a new one for an enrolment token. The key is written down before it is shown, so that an answer
 * that got lost can be asked for again with the same key.
 */
export async function enrol(
  ports: AgentPorts,
  keyring: Keyring,
  options: { readonly enrolment: Enrolment | null; readonly signal: AbortSignal },
): Promise<void> {
  const stored = await ports.journal.identity()
  if (stored !== null) {
    keyring.hold(stored)
    return
  }
  const { enrolment, signal } = options
  if (enrolment === null)
    throw new CideryError('UNAUTHENTICATED', 'this host is not enrolled', {
      hint: 'run `cidery host add` on the controller and paste the line it prints',
    })
  const { token, controllerUrl, caFingerprint, hostname, os, arch } = enrolment
  const key = (await ports.journal.enrolmentKey()) ?? newHostKey(ports.random)
  await ports.journal.saveEnrolmentKey(key)
  for (let failures = 1; ; failures += 1) {
    try {
      const { hostId, name } = await ports.link.enrol({ token, protocol: syncProtocol, hostname, keyHash: keyHash(key), os, arch })
      const identity: AgentIdentity = { hostId, name, controllerUrl, caFingerprint, key, nextKey: null }
      await ports.journal.saveIdentity(identity)
      keyring.hold(identity)
      ports.log.info('this host is enrolled', { host: name, id: hostId })
      return
    } catch (error) {
      signal.throwIfAborted()
      // A token that is refused does not become good by waiting.
      if (!(error instanceof CideryError) || error.retry === 'never') throw error
      ports.log.warn('the controller could not be asked to enrol this host', { error: messageOf(error) })
      await ports.timers.sleep(backoff(failureKind(error), failures, ports.random.fraction()), signal)
    }
  }
}
