import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launcher } from '../e2e/processes.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-verify-'))
  mkdirSync(join(folder, 'state'), { mode: 0o700 })
  writeFileSync(join(folder, 'state', 'agent.yaml'), JSON.stringify({ engines: { user: { prefix: 'vf-', uidRange: [698_000, 698_099] } } }))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Verified {
  readonly exitCode: number | null
  readonly checks: readonly { readonly name: string; readonly state: string; readonly message: string }[]
}

/** `cidery agent verify` in a mount namespace of its own, in which `change` made this machine another one. */
function verifyAfter(change: string): Verified {
  const state = join(folder, 'state')
  const words = [process.execPath, launcher, 'agent', 'verify', '--engines', '--state', state, '--output', 'json']
  const script = `set -e; cd ${folder}; ${change}\nexec "$@"`
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', ...words], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  if (stdout === '') throw new Error(stderr)
  const { checks } = JSON.parse(stdout) as {
    readonly checks: readonly { readonly name: string; readonly state: string; readonly message: string }[]
  }
  return { exitCode: status, checks }
}

describe('whether a host could start a job is asked by cidery agent verify --engines', () => {
  it('which passes the engine of a machine that has room and programs', () => {
    expect(verifyAfter(':')).toMatchObject({ exitCode: 0, checks: [{ name: 'engine user can start a job', state: 'passed' }] })
  })

  it.each([
    [
      'its disk is full to more than 90 %',
      'mount -t tmpfs -o size=10m,mode=700 tmpfs state; dd if=/dev/zero of=state/fill bs=1k count=9300 2>/dev/null',
      /the disk of .* is 9\d % full \(limit 90 %\)/,
    ],
    [
      'less than 10 % of its memory is free',
      `sed 's/^MemAvailable:.*/MemAvailable: 1000 kB/' /proc/meminfo >meminfo; mount --bind meminfo /proc/meminfo`,
      /only 0 % of the memory is free \(at least 10 % is needed\)/,
    ],
    ['a command is missing', 'mount --bind /dev/null "$(command -v useradd)"', /the program useradd is not installed/],
  ])('which ends with a code other than 0 and the reason when %s [001-44]', (_, change, reason) => {
    const { exitCode, checks } = verifyAfter(change)
    expect(checks).toMatchObject([{ state: 'failed', message: expect.stringMatching(reason) as string }])
    expect(exitCode).toBe(1)
  })
})
