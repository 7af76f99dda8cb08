import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkout, controllerOf, launcher, runCidery, startCidery, temporaryDirectory, type Running } from './processes.ts'
import { waitFor } from './wait.ts'

const namespace = `cidery-e2e-${process.pid}`
const outside = `ce${process.pid % 100_000}a`
const inside = `ce${process.pid % 100_000}b`
/** From the range that is kept for such tests (RFC 2544). */
const octet = process.pid % 250
const controllerIp = `198.18.${octet}.1`
const hostIp = `198.18.${octet}.2`

function ip(...words: readonly string[]): void {
  const done = spawnSync('ip', words, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`ip ${words.join(' ')}: ${done.stderr}`)
}

describe('a second machine', () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>
  let controller: Running
  let agent: ReturnType<typeof spawn> | undefined
  let env: Record<string, string>
  let hadNamespaces: boolean

  beforeAll(async () => {
    directory = await temporaryDirectory('second-host')
    hadNamespaces = readFileSync('/proc/self/mounts', 'utf8').includes(' /run/netns ')
    ip('netns', 'add', namespace)
    ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', inside)
    ip('link', 'set', inside, 'netns', namespace)
    ip('addr', 'add', `${controllerIp}/30`, 'dev', outside)
    ip('link', 'set', outside, 'up')
    ip('netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up')
    ip('netns', 'exec', namespace, 'ip', 'addr', 'add', `${hostIp}/30`, 'dev', inside)
    ip('netns', 'exec', namespace, 'ip', 'link', 'set', inside, 'up')
    ip('netns', 'exec', namespace, 'ip', 'route', 'add', 'default', 'via', controllerIp)
    const state = join(directory.path, 'controller')
    env = { CIDERY_STATE: state }
    controller = startCidery(['controller', 'run', '--state', state, '--listen', `${controllerIp}:0`], {
      env,
      logFile: join(directory.path, 'controller.log'),
    })
    await controllerOf(state, controller)
  }, 120_000)

  afterAll(async () => {
    if (agent?.pid !== undefined) {
      const group = -agent.pid
      process.kill(group, 'SIGTERM')
      await waitFor('the agent to end', () => isEmpty(group), 30_000)
    }
    await controller.stop()
    spawnSync('ip', ['netns', 'del', namespace])
    // The first namespace of a machine mounts this folder, and nobody unmounts it.
    if (!hadNamespaces && readdirSync('/run/netns').length === 0) spawnSync('umount', ['/run/netns'])
    spawnSync('ip', ['link', 'del', outside])
    await directory.remove()
  }, 60_000)

  it('joins over TLS by the line that host add prints, and runs a job', async () => {
    const added = await runCidery(['host', 'add', '--name', 'second', '--output', 'json'], { env })
    expect(added.stderr).not.toMatch(/✗/)
    expect(added.code).toBe(0)
    const { command, url, caFingerprint } = JSON.parse(added.stdout.toString()) as { command: string; url: string; caFingerprint: string }
    expect(url).toMatch(/^https:/)
    expect(command).toContain(caFingerprint)

    // The printed line as it is, in a shell of the other machine; `npx cidery` is the checkout's own launcher there.
    const agentState = join(directory.path, 'agent')
    await mkdir(agentState, { mode: 0o700 })
    const user = {
      prefix: `s${octet.toString(36)}x-`,
      uidRange: [960_000 + octet * 100, 960_099 + octet * 100],
      netRange: '198.19.255.0/24',
    }
    await writeFile(join(agentState, 'agent.yaml'), JSON.stringify({ engines: { user } }), { mode: 0o600 })
    const bin = join(directory.path, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'npx'), `#!/bin/sh\nshift\nexec ${process.execPath} ${launcher} "$@"\n`, { mode: 0o755 })
    const log = join(directory.path, 'agent.log')
    agent = spawn('nsenter', [`--net=/var/run/netns/${namespace}`, 'sh', '-c', `${command} --state ${agentState} >${log} 2>&1`], {
      cwd: checkout,
      env: { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: directory.path },
      stdio: 'ignore',
      // The shell may stay between us and the agent: a signal goes to its group.
      detached: true,
    })
    await waitFor(
      'the second host to be ready',
      async () => {
        const shown = await runCidery(['host', 'show', 'second', '--output', 'json'], { env })
        if (shown.code !== 0) throw new Error(shown.stderr + (await readFile(log, 'utf8').catch(() => '')).slice(-2000))
        const host = JSON.parse(shown.stdout.toString()) as {
          state: string
          facts: { readiness: readonly { boot: { ok: boolean } | null }[] } | null
        }
        return host.state === 'up' && host.facts?.readiness.some((one) => one.boot?.ok === true) === true
      },
      120_000,
    )

    const run = await runCidery(['run', '--source', 'none', '--', 'sh', '-c', 'echo from the second machine; exit 3'], {
      env,
      deadlineMs: 120_000,
    })
    expect(run.stdout.toString()).toBe('from the second machine\n')
    expect(run.code).toBe(3)
  }, 300_000)

  it('is refused when the pin is wrong, and when the line is used a second time', async () => {
    const added = await runCidery(['host', 'add', '--name', 'third', '--output', 'json'], { env })
    const { token, url, caFingerprint } = JSON.parse(added.stdout.toString()) as { token: string; url: string; caFingerprint: string }
    const join3rd = (pin: string, state: string) => joinFromInside({ token, url, pin, state: join(directory.path, state) })
    const names = async () => {
      const listed = await runCidery(['host', 'ls', '--output', 'json'], { env })
      return (JSON.parse(listed.stdout.toString()) as { items: readonly { name: string }[] }).items.map((host) => host.name)
    }
    const wrong = join3rd(
      caFingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
      'wrong-pin',
    )
    expect([wrong.status, wrong.stderr]).toEqual([
      4,
      expect.stringContaining('does not show the CA certificate whose fingerprint was pinned'),
    ])
    expect(await names()).toEqual(['second'])

    // The right pin joins (and is stopped by the deadline); whoever comes with the same token later does not.
    join3rd(caFingerprint, 'third')
    expect(await names()).toContain('third')
    const again = join3rd(caFingerprint, 'thief')
    expect(again.status).toBe(4)
    expect(await names()).toHaveLength(2)
  }, 180_000)
})

/** Whether no process of a group is left. */
function isEmpty(group: number): boolean {
  try {
    process.kill(group, 0)
    return false
  } catch {
    // No such group.
    return true
  }
}

interface Joining {
  readonly token: string
  readonly url: string
  readonly pin: string
  readonly state: string
}

/** Runs an agent in the other machine's network for ten seconds at most. */
function joinFromInside({ token, url, pin, state }: Joining) {
  const words = [launcher, 'agent', 'run', '--url', url, '--ca-sha256', pin, '--state', state]
  return spawnSync('nsenter', [`--net=/var/run/netns/${namespace}`, process.execPath, ...words], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: state, CIDERY_ENROL_TOKEN: token },
    timeout: 10_000,
    killSignal: 'SIGTERM',
  })
}
