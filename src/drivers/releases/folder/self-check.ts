import { execFile } from 'node:child_process'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { CideryError } from '../../../model/errors.ts'
import type { InstalledRelease } from '../../../ports/releases.ts'

const limitMs = 60_000

/** Runs the release's own Node on its own program, without the environment of this process; resolves with what it printed. */
function runRelease(release: InstalledRelease, words: readonly string[], signal: AbortSignal): Promise<string> {
  const argv = [join(release.path, 'bin', 'cidery.js'), ...words]
  const options = {
    encoding: 'utf8' as const,
    timeout: limitMs,
    killSignal: 'SIGKILL' as const,
    maxBuffer: 1024 ** 2,
    signal,
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: homedir() },
  }
  return new Promise((resolve, reject) => {
    execFile(join(release.path, 'bin', 'node'), argv, options, (error, stdout, stderr) => {
      // `agent verify` ends with 1 when an engine could not start a job now, which is no fault of the release.
      if (error === null || error.code === 1) resolve(stdout)
      else
        reject(new CideryError('ENGINE_FAILED', `the new release does not start: ${lastLine(stderr) || error.message}`, { cause: error }))
    })
  })
}

function lastLine(text: string): string {
  const lines = text.trim().split('\n')
  return (lines.find((line) => /Error/.test(line)) ?? lines.at(-1) ?? '').slice(0, 500)
}

/**
 * Whether a release starts on this machine, says the version that it should, and can read this agent's settings and load its engines. Throws
 * ENGINE_FAILED with what it said instead.
 */
export async function checkRelease(release: InstalledRelease, stateDir: string, signal: AbortSignal): Promise<void> {
  const version = await runRelease(release, ['version'], signal)
  if (version.trim() !== `cidery ${release.version}`)
    throw new CideryError('ENGINE_FAILED', `the new release calls itself ${JSON.stringify(version.trim().slice(0, 100))}`)
  const checks = await runRelease(release, ['agent', 'verify', '--engines', '--state', stateDir, '--output', 'json'], signal)
  if (!hasChecks(checks)) throw new CideryError('ENGINE_FAILED', 'the new release cannot load its engines with the settings of this host')
}

function hasChecks(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'checks' in value && Array.isArray(value.checks)
  } catch {
    // It printed something else, or nothing.
    return false
  }
}
