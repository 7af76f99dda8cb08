import type { Clock } from '../../ports/time.ts'

/** Below the tenth that leases allow for a clock that goes wrong. */
const slew = 1 / 20

/**
 * A wall clock that never jumps: it starts at the time of the machine, and goes after it by a twentieth of its pace at most. A clock that somebody
 * sets an hour forward would else make every lease look as if it had run out, and one that is set back would hide every silence.
 *
 * @example createSlewingClock(createSystemClock())
 */
export function createSlewingClock(clock: Clock): Clock {
  let told = clock.now()
  let steady = clock.steady()
  return {
    steady: clock.steady,
    now() {
      const steadyNow = clock.steady()
      const passed = Math.max(0, steadyNow - steady)
      const off = clock.now() - (told + passed)
      told += passed + Math.max(-passed * slew, Math.min(passed * slew, off))
      steady = steadyNow
      return Math.floor(told)
    },
  }
}
