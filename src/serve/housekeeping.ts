import type { Timer } from '../ports/time.ts'
import { removeEnrolmentsEndedBefore } from '../record/enrolments.ts'
import { forgetAnswersBefore } from '../record/idempotency.ts'
import { removeExpiredSessions } from '../record/sessions.ts'
import { removeTokensEndedBefore } from '../record/tokens.ts'
import { idempotencyMs } from './idempotency.ts'
import type { ServePorts } from './serve-ports.ts'

const everyMs = 600_000
/** How long tokens and enrolments stay listed after their end. */
const keepEndedMs = 30 * 86_400_000

/** Forgets what has ended: sessions, old answers, tokens and enrolments. Every 10 minutes until the returned function is called. */
export function startHousekeeping(ports: ServePorts): () => void {
  let timer: Timer = ports.timers.after(everyMs, () => void run())

  async function run(): Promise<void> {
    const now = ports.clock.now()
    try {
      await ports.store.write(async (tx) => {
        await removeExpiredSessions(tx, now)
        await forgetAnswersBefore(tx, now - idempotencyMs)
        await removeTokensEndedBefore(tx, now - keepEndedMs)
        await removeEnrolmentsEndedBefore(tx, now - keepEndedMs)
      })
    } catch (error) {
      ports.log.warn('could not forget ended sessions, answers and tokens; it is tried again', { error })
    }
    timer = ports.timers.after(everyMs, () => void run())
  }

  return () => timer.cancel()
}
