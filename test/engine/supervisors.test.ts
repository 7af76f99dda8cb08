import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { DetachedSupervisors } from '../../src/drivers/supervisors/detached/supervisors.ts'
import { supervisorEntry } from '../../src/main/supervisor-entry.ts'
import type { ExitRecord, SupervisedRun, Supervision } from '../../src/ports/supervisors.ts'
import { boot, leftOf, ownSettings, plainPath, removeSettings, shellInside } from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

const directory = mkdtempSync('/tmp/cidery-supervisors-')
const supervisors = new DetachedSupervisors({ directory, entry: supervisorEntry })
let made = 0

function runOf(script: string, changes: Partial<SupervisedRun> = {}): SupervisedRun {
  made += 1
  const launch = { argv: ['/bin/sh', '-c', script], env: { ...plainPath }, cwd: '/' } as const
  return { id: `run_${made}`, launch, timeLimitMs: 60_000, graceMs: 500, logLimitBytes: 1024 * 1024, ...changes }
}

async function endOf(id: string): Promise<ExitRecord> {
  const ended = await supervisors.wait(id, AbortSignal.timeout(50_000))
  if (ended.state !== 'ended') throw new Error(`${id} is ${ended.state}`)
  return ended.exit
}

async function logOf(id: string): Promise<string> {
  return Buffer.from(await supervisors.readLog(id, 0, 10_000_000)).toString('utf8')
}

async function runToEnd(run: SupervisedRun): Promise<ExitRecord & { readonly log: string }> {
  await supervisors.start(run)
  const exit = await endOf(run.id)
  return { ...exit, log: await logOf(run.id) }
}

function pidOf(supervision: Supervision): number {
  if (supervision.state !== 'running') throw new Error(`not running but ${supervision.state}`)
  return supervision.pid
}

afterEach(async () => {
  for (const id of await supervisors.list()) await supervisors.remove(id)
  expect(await supervisors.list()).toEqual([])
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('a supervisor', () => {
  it('records exit code or signal, exactly', async () => {
    expect(await runToEnd(runOf('exit 7'))).toMatchObject({ code: 7, signal: null, cause: 'exited' })
    expect(await runToEnd(runOf('kill -SEGV $$'))).toMatchObject({ code: null, signal: 11, cause: 'exited' })
    expect(await runToEnd(runOf('kill -KILL $$'))).toMatchObject({ code: null, signal: 9, cause: 'exited' })
  })

  it('keeps both outputs in the order they were written, also through /dev/stderr', async () => {
    const { log } = await runToEnd(runOf('for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; echo again$i >/dev/stderr; done'))
    expect(log).toBe([1, 2, 3, 4, 5].map((i) => `out${i}\nerr${i}\nagain${i}\n`).join(''))
  })

  it('says when the command could not be launched', async () => {
    const end = await runToEnd(runOf('', { launch: { argv: ['/nowhere/at-all'], env: {}, cwd: '/' } }))
    expect(end).toMatchObject({ cause: 'launchFailed', code: null, signal: null })
    expect(end.message).toContain('/nowhere/at-all')
    expect(await runToEnd(runOf('', { launch: { argv: ['/bin/true'], env: {}, cwd: '/nowhere' } }))).toMatchObject({
      cause: 'launchFailed',
    })
  })

  it('ends the command at its time limit: TERM, then KILL after the grace, and keeps the log', async () => {
    const polite = await runToEnd(
      runOf('trap "echo leaving; exit 3" TERM; echo started; while :; do sleep 0.05; done', { timeLimitMs: 500 }),
    )
    expect(polite).toMatchObject({ cause: 'timedOut', code: 3 })
    expect(polite.log).toMatch(/^started\n(?:.*\n)?leaving\n$/)
    const stubborn = await runToEnd(runOf('trap "" TERM; echo started; while :; do sleep 0.05; done', { timeLimitMs: 500, graceMs: 700 }))
    expect(stubborn).toMatchObject({ cause: 'timedOut', signal: 9, log: 'started\n' })
    expect(stubborn.endedAt - stubborn.startedAt).toBeGreaterThanOrEqual(1150)
  })

  it('cancels the command, also twice, and does nothing to one that ended', async () => {
    const run = runOf('echo up; sleep 300')
    await supervisors.start(run)
    await eventually(async () => expect(await logOf(run.id)).toBe('up\n'))
    await supervisors.cancel(run.id)
    await supervisors.cancel(run.id)
    const exit = await endOf(run.id)
    expect(exit).toMatchObject({ cause: 'cancelled', signal: 15 })
    await supervisors.cancel(run.id)
    expect(await endOf(run.id)).toEqual(exit)
    await supervisors.cancel('run_unknown')
  })

  it('starts a run once, however often it is asked', async () => {
    const run = runOf(`echo x >>${directory}/count; sleep 0.3`)
    await Promise.all([
      supervisors.start(run),
      supervisors.start(run),
      new DetachedSupervisors({ directory, entry: supervisorEntry }).start(run),
    ])
    await endOf(run.id)
    await supervisors.start(run)
    expect(readFileSync(`${directory}/count`, 'utf8')).toBe('x\n')
    rmSync(`${directory}/count`)
  })

  it('cuts a log at its limit with a mark, goes on draining, and stays small over 100 MB', async () => {
    const run = runOf('head -c 104857600 /dev/zero | tr "\\0" x; echo done >&2; exit 5', { logLimitBytes: 10_000 })
    await supervisors.start(run)
    const pid = pidOf(await supervisors.inspect(run.id))
    const peak = new Promise<number>((resolve) => {
      let most = 0
      const timer = setInterval(() => {
        try {
          most = Math.max(most, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0))
        } catch {
          clearInterval(timer)
          resolve(most)
        }
      }, 20)
    })
    const exit = await endOf(run.id)
    expect(exit).toMatchObject({ code: 5, logCut: true })
    const log = await logOf(run.id)
    expect(log.slice(0, 10_000)).toBe('x'.repeat(10_000))
    expect(log.slice(10_000)).toBe('\n[cidery: the log was cut after 10000 bytes]\n')
    expect(exit.logBytes).toBe(log.length)
    expect((await peak) / 1024).toBeLessThan(110)
  })

  it('keeps 100 MB of log without holding it', async () => {
    const run = runOf('head -c 104857600 /dev/zero', { logLimitBytes: 2 ** 30 })
    await supervisors.start(run)
    expect(await endOf(run.id)).toMatchObject({ code: 0, logBytes: 104_857_600, logCut: false })
    expect(await supervisors.logLength(run.id)).toBe(104_857_600)
    expect((await supervisors.readLog(run.id, 104_857_590, 100)).length).toBe(10)
    expect((await supervisors.readLog(run.id, 200_000_000, 100)).length).toBe(0)
  })

  it('does not wait for what outlives the command and holds its output', async () => {
    const start = performance.now()
    expect(await runToEnd(runOf('sleep 300 & echo over'))).toMatchObject({ code: 0, log: 'over\n' })
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('never shows environment or run in the words of a process, and keeps its files closed', async () => {
    const launch = { argv: ['/bin/sh', '-c', 'sleep 300'], env: { ...plainPath, TOKEN: 'very-secret' }, cwd: '/' } as const
    const run = runOf('', { launch })
    await supervisors.start(run)
    const pid = pidOf(await supervisors.inspect(run.id))
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('very-secret')
    expect(statSync(`${directory}/${run.id}`).mode & 0o777).toBe(0o700)
    await eventually(() => expect(readdirSync(`${directory}/${run.id}`)).toContain('command.json'))
    for (const name of readdirSync(`${directory}/${run.id}`)) {
      expect(statSync(`${directory}/${run.id}/${name}`).mode & 0o077).toBe(0)
      expect(readFileSync(`${directory}/${run.id}/${name}`, 'utf8')).not.toContain('very-secret')
    }
  })

  it('gives a run none of its own environment', async () => {
    expect((await runToEnd(runOf('', { launch: { argv: ['/usr/bin/env'], env: { ONLY: 'this' }, cwd: '/' } }))).log).toBe('ONLY=this\n')
  })

  it('survives the death of the agent and of its whole process group, and is found again', async () => {
    const script = `
      import { DetachedSupervisors } from '${process.cwd()}/src/drivers/supervisors/detached/supervisors.ts'
      const supervisors = new DetachedSupervisors(${JSON.stringify({ directory, entry: supervisorEntry })})
      await supervisors.start({ id: 'run_orphan', launch: { argv: ['/bin/sh', '-c', 'echo up; sleep 2; echo over; exit 4'], env: { PATH: '/usr/bin:/bin' }, cwd: '/' }, timeLimitMs: 60000, graceMs: 500, logLimitBytes: 10000 })
      console.log('started')
      setInterval(() => undefined, 1000)
    `
    const agent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => agent.stdout.once('data', resolve))
    process.kill(-(agent.pid ?? 0), 'SIGKILL')
    await new Promise((resolve) => agent.once('exit', resolve))
    expect((await supervisors.inspect('run_orphan')).state).toBe('running')
    expect(await endOf('run_orphan')).toMatchObject({ code: 4, cause: 'exited' })
    expect(await logOf('run_orphan')).toBe('up\nover\n')
  })

  it('is dead, not running, when it was killed, even when its pid is somebody else’s now', async () => {
    const run = runOf('sleep 300')
    await supervisors.start(run)
    await eventually(() => expect(existsSync(`${directory}/${run.id}/command.json`)).toBe(true))
    process.kill(pidOf(await supervisors.inspect(run.id)), 'SIGKILL')
    expect((await supervisors.wait(run.id, AbortSignal.timeout(20_000))).state).toBe('dead')
    // The record now names the pid of this very test, which started at another time.
    const path = `${directory}/${run.id}/supervisor.json`
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), pid: process.pid }))
    expect((await supervisors.inspect(run.id)).state).toBe('dead')
    await supervisors.start(run)
    expect((await supervisors.inspect(run.id)).state).toBe('dead')
    const command = JSON.parse(readFileSync(`${directory}/${run.id}/command.json`, 'utf8')) as { pid: number }
    expect(existsSync(`/proc/${command.pid}`)).toBe(true)
    await supervisors.remove(run.id)
    await eventually(() => expect(existsSync(`/proc/${command.pid}/exe`)).toBe(false))
  })

  it('told to go by the system, ends the command and leaves no record of an end', async () => {
    const run = runOf('echo up; sleep 300')
    await supervisors.start(run)
    await eventually(async () => expect(await logOf(run.id)).toBe('up\n'))
    process.kill(pidOf(await supervisors.inspect(run.id)), 'SIGTERM')
    expect((await supervisors.wait(run.id, AbortSignal.timeout(20_000))).state).toBe('dead')
  })

  it('says when its log has grown, and when there is nothing more to wait for', async () => {
    const run = runOf('echo one; sleep 1; echo two; sleep 300')
    await supervisors.start(run)
    const signal = AbortSignal.timeout(20_000)
    await supervisors.waitForLog(run.id, 4, signal)
    expect(await logOf(run.id)).toBe('one\ntwo\n')
    await supervisors.waitForLog(run.id, 8, AbortSignal.timeout(50))
    expect(await logOf(run.id)).toBe('one\ntwo\n')
    await supervisors.cancel(run.id)
    await supervisors.waitForLog(run.id, 8, signal)
    await supervisors.waitForLog('run_unknown', 0, signal)
    expect(signal.aborted).toBe(false)
  })

  it('is waited for only as long as the caller wants', async () => {
    const run = runOf('sleep 300')
    await supervisors.start(run)
    expect((await supervisors.wait(run.id, AbortSignal.timeout(50))).state).toBe('running')
    expect(await supervisors.inspect('run_unknown')).toEqual({ state: 'none' })
    expect(await supervisors.wait('run_unknown', AbortSignal.timeout(20_000))).toEqual({ state: 'none' })
    expect(await supervisors.logLength('run_unknown')).toBe(0)
    await expect(supervisors.inspect('../escape')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('is started within a time that nobody notices', async () => {
    const run = runOf('true')
    const start = performance.now()
    await supervisors.start(run)
    // About 90 ms when nothing else runs.
    expect(performance.now() - start).toBeLessThan(3000)
    await endOf(run.id)
  })
})

describe('supervised commands in sandboxes', () => {
  const settings = ownSettings()
  const engine = makeUserEngine(settings)

  afterAll(async () => {
    await engine.sweep(new Set())
    await eventually(() => expect(leftOf(settings)).toEqual([]))
    removeSettings(settings)
  })

  async function supervised(id: string, script: string, changes: Partial<SupervisedRun> = {}): Promise<string> {
    const launch = await engine.command(id, { argv: ['/bin/sh', '-c', script], env: plainPath })
    const run = runOf('', { launch, ...changes })
    await supervisors.start(run)
    return run.id
  }

  it('end by the signal that the command inside got, with the code that it chose', async () => {
    const { id } = await boot(engine)
    expect(await endOf(await supervised(id, 'exit 42'))).toMatchObject({ code: 42, cause: 'exited' })
    expect(await endOf(await supervised(id, 'kill -SEGV $$'))).toMatchObject({ signal: 11, cause: 'exited' })
    const polite = await supervised(id, 'trap "echo leaving; exit 9" TERM; echo up; while :; do sleep 0.1; done', {
      timeLimitMs: 1000,
      graceMs: 20_000,
    })
    expect(await endOf(polite)).toMatchObject({ code: 9, cause: 'timedOut' })
    expect(await logOf(polite)).toContain('leaving')
    const stubborn = await supervised(id, 'trap "" TERM; setsid sh -c "trap \\"\\" TERM; sleep 300" & while :; do sleep 0.1; done', {
      timeLimitMs: 1000,
    })
    expect(await endOf(stubborn)).toMatchObject({ signal: 9, cause: 'timedOut' })
    await eventually(async () => expect((await shellInside(engine, id, 'ps -eo args | grep -c "[s]leep 300"')).stdout).toBe('0\n'))
  })

  it('are cancelled one by one: the other job of the host does not notice [001-34]', async () => {
    const [one, other] = [await boot(engine), await boot(engine)]
    const script = 'echo up; i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i + 1)); done; echo whole'
    const [cancelled, untouched] = [await supervised(one.id, script), await supervised(other.id, script)]
    await eventually(async () => expect(await logOf(cancelled)).toBe('up\n'))
    await supervisors.cancel(cancelled)
    expect(await endOf(cancelled)).toMatchObject({ cause: 'cancelled', signal: 15 })
    await engine.destroy(one.id)
    expect(await endOf(untouched)).toMatchObject({ cause: 'exited', code: 0 })
    expect(await logOf(untouched)).toBe('up\nwhole\n')
  })

  it('write to /dev/stdout and /dev/stderr as any user', async () => {
    const { id } = await boot(engine)
    const run = await supervised(id, 'echo a >/dev/stdout; echo b >/dev/stderr; echo c >>/dev/fd/2')
    expect(await endOf(run)).toMatchObject({ code: 0 })
    expect(await logOf(run)).toBe('a\nb\nc\n')
  })
})
