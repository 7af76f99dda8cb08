import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import type { Outside } from '../cli/cli.ts'
import { inOf, outOf } from './cli-streams.ts'
import { nodeTransport } from './cli-transport.ts'

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
    clock: { now: () => Date.now(), steady: () => performance.now() },
    timers: {
      after(delay, run) {
        const timer = setTimeout(run, delay)
        return { cancel: () => clearTimeout(timer) }
      },
      sleep,
    },
    random: { bytes: (count) => randomBytes(count), fraction: () => randomBytes(4).readUInt32BE() / 2 ** 32 },
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

function sleep(delay: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error)
      return
    }
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, delay)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return manifest.version
}
