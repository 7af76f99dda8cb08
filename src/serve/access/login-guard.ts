import { CideryError } from '../../model/errors.ts'
import type { ServePorts } from '../serve-ports.ts'
import { newCredential } from './credential.ts'
import { addressKey, createTryLimit } from './limits.ts'

interface Try {
  readonly name: string
  readonly origin: string
  readonly password: string
  /** Null: there is no such user. */
  readonly passwordHash: string | null
}

/** Checks passwords slowly enough for guessing to be hopeless, and tells nothing by how long it takes. */
export interface LoginGuard {
  /** Whether the password is right. Throws TOO_MANY_REQUESTS after 5 wrong tries in a minute for the name or the address. */
  check(attempt: Try): Promise<boolean>
  /** Counts one redeeming of a login code; TOO_MANY_REQUESTS after 5 in a minute from the address. */
  takeCodeTry(origin: string): void
  giveBackCodeTry(origin: string): void
}

const tries = 5
const windowMs = 60_000

export async function createLoginGuard(ports: ServePorts): Promise<LoginGuard> {
  const byName = createTryLimit({ clock: ports.clock, tries, windowMs })
  const byAddress = createTryLimit({ clock: ports.clock, tries, windowMs })
  const codes = createTryLimit({ clock: ports.clock, tries, windowMs })
  // An unknown name costs the same work as a known one, else the time of the answer would tell which names exist.
  const nobodysHash = await ports.hasher.hash(newCredential(ports, 'session'))

  async function check(attempt: Try): Promise<boolean> {
    const address = addressKey(attempt.origin)
    const waitMs = Math.max(byName.wait(attempt.name), byAddress.wait(address))
    if (waitMs > 0) throw tooManyTries(waitMs)
    // Counted before the check, so that tries sent at once are all counted; a right password takes its own back.
    byName.take(attempt.name)
    byAddress.take(address)
    const right = await ports.hasher.verify(attempt.password, attempt.passwordHash ?? nobodysHash)
    if (!right || attempt.passwordHash === null) return false
    byName.giveBack(attempt.name)
    byAddress.giveBack(address)
    return true
  }

  function takeCodeTry(origin: string): void {
    const waitMs = codes.take(addressKey(origin))
    if (waitMs > 0) throw tooManyTries(waitMs)
  }

  return { check, takeCodeTry, giveBackCodeTry: (origin) => codes.giveBack(addressKey(origin)) }
}

function tooManyTries(waitMs: number): CideryError {
  const retryAfterS = Math.ceil(waitMs / 1000)
  return new CideryError('TOO_MANY_REQUESTS', 'too many tries to sign in', {
    hint: `try again in ${retryAfterS} s`,
    details: { retryAfterS },
  })
}
