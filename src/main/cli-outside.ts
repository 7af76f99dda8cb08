import { homedir, tmpdir } from 'node:os'
import type { Outside } from '../cli/cli.ts'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../drivers/clocks/system-timers.ts'
import { createSystemRandom } from '../drivers/randoms/system-random.ts'
import { inOf, outOf } from './cli-streams.ts'
import { nodeTransport } from './cli-transport.ts'
import { packageVersion } from './package-version.ts'

/** Everything that the command line touches, as this machine and process have it. */
export function nodeOutside(): Outside {
  const columns = forcedColumns(process.env['CIDERY_FORCE_TTY'])
  return {
    version: packageVersion(),
    env: process.env,
    cwd: process.cwd(),
    home: homedir(),
    uid: process.getuid?.() ?? -1,
    platform: process.platform,
    temporaryDirectory: tmpdir(),
    stdin: inOf(process.stderr),
    stdout: outOf(process.stdout, columns),
    stderr: outOf(process.stderr, columns),
    clock: createSystemClock(),
    timers: createSystemTimers(),
    random: createSystemRandom(),
    transport: nodeTransport(),
    onInterrupt(listener) {
      const interrupted = () => listener('SIGINT')
      const terminated = () => listener('SIGTERM')
      process.on('SIGINT', interrupted).on('SIGTERM', terminated)
      return () => process.off('SIGINT', interrupted).off('SIGTERM', terminated)
    },
  }
}

/** `CIDERY_FORCE_TTY=1` writes as for a terminal of 80 columns, a larger number as for that many. */
function forcedColumns(value: string | undefined): number | undefined {
  if (value === undefined || value === '' || value === '0') return undefined
  const columns = Number(value)
  return Number.isInteger(columns) && columns > 20 ? columns : 80
}
