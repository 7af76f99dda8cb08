import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launchCommand } from './entering.ts'
import { machineFiles } from './record.ts'

/** What may be the shell of an account inside; each has its own `kill`. */
const shells = [['dash'], ['bash'], ['busybox', 'sh']]
const isThere = (name: string): boolean => spawnSync('sh', ['-c', `command -v ${name}`]).status === 0

// The host's part takes `env --block-signal` of GNU's coreutils.
describe.runIf(process.platform === 'linux')('a signal for a command inside', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cidery-entering-'))
    mkdirSync(join(folder, 'ends'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  /** In place of the connection: the words for the inside are run here, by that shell, with the place of ends in this test's folder. */
  function sshOver(shell: readonly string[]): void {
    const path = join(folder, 'ssh')
    writeFileSync(
      path,
      `#!/bin/sh\nwords=$(printf '%s' "$4" | sed 's#/run/cidery/ends#${folder}/ends#g')\nexec setsid -w ${shell.join(' ')} -c "$words"\n`,
    )
    chmodSync(path, 0o755)
  }

  it.each(shells.filter(([name]) => isThere(name ?? '')))('reaches it and all that it started through %s', async (...shell) => {
    sshOver(shell.filter((word) => typeof word === 'string'))
    const script = `trap 'wait; echo caught; exit 9' TERM; (trap 'echo child; exit' TERM; echo started; while :; do sleep 0.1; done) & wait`
    const { argv, env } = launchCommand(
      machineFiles(folder, 'm'),
      {},
      {
        argv: ['/bin/sh', '-c', script],
        env: { PATH: '/usr/bin:/bin' },
        cwd: '/',
      },
    )
    const child = spawn(argv[0], argv.slice(1), {
      env: { ...env, PATH: `${folder}:${env['PATH'] ?? ''}` },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let said = ''
    child.stdout.on('data', (piece: Buffer) => (said += piece.toString('utf8')))
    const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
    await new Promise<void>((resolve) => child.stdout.on('data', () => said.includes('started\n') && resolve()))
    child.kill('SIGTERM')
    expect(await ended).toEqual({ code: 9, signal: null })
    expect(said.split('\n').toSorted()).toEqual(['', 'caught', 'child', 'started'])
  })
})
