import { uptime } from 'node:os'
import type { Milliseconds } from '../../model/instant.ts'
import type { Clock } from '../../ports/time.ts'

/** Where the system clock reads time from; other sources only in tests. All in milliseconds. */
export interface ClockSources {
  readonly wall: () => Milliseconds
  /** Fine, only up, stands still while the machine sleeps. */
  readonly monotonic: () => Milliseconds
  /** Coarse, counts sleep. */
  readonly uptime: () => Milliseconds
}

const systemSources: ClockSources = { wall: () => Date.now(), monotonic: () => performance.now(), uptime: () => uptime() * 1000 }

/** The two sources differ by rounding (10 ms) and by the moment between reading them; more than this is sleep. */
const tolerance = 100
/** Sleep moves the wall clock against the monotonic one by its whole length: a difference above this is looked into. */
const jump = 20
/** Looked into at least so often, whatever the wall clock says: somebody may have set it back by as much as the machine slept. */
const longestTrust = 1000

/**
 * The clock of the machine. `steady` is the monotonic clock plus all time slept: Node has no call for CLOCK_BOOTTIME, but the uptime of
 * the system (Linux: CLOCK_BOOTTIME; macOS: since kern.boottime) counts sleep and not changes of the wall clock. What it is ahead of
 * the monotonic clock was slept. It counts from the start of the machine, so that processes of one boot can compare what they kept (to some 10 ms). The uptime takes 6 µs (Linux: a file is read), and a request asks for the time ten times: it is read only when
 * the wall clock jumped, and once a second. 0.1 µs per call otherwise.
 */
export function createSystemClock(sources: ClockSources = systemSources): Clock {
  const monotonicStart = sources.monotonic()
  const uptimeStart = sources.uptime()
  let slept = 0
  let last = uptimeStart
  let looked = { wall: sources.wall(), awake: 0 }

  /** Whether the machine may have slept since the uptime was last read. */
  function mayHaveSlept(awake: Milliseconds, wall: Milliseconds): boolean {
    const passed = awake - looked.awake
    return passed >= longestTrust || Math.abs(wall - looked.wall - passed) > jump
  }

  return {
    now: () => Math.floor(sources.wall()),
    steady() {
      const awake = sources.monotonic() - monotonicStart
      const wall = sources.wall()
      if (mayHaveSlept(awake, wall)) {
        looked = { wall, awake }
        const ahead = sources.uptime() - uptimeStart - awake
        if (ahead > slept + tolerance) slept = ahead
      }
      last = Math.max(last, uptimeStart + awake + slept)
      return last
    },
  }
}
