import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createKernelLock } from '../../src/drivers/locks/kernel-lock.ts'
import { startLineProcess, type LineProcess } from '../store/line-process.ts'

const lock = createKernelLock()
let directory: string
let path: string
let processes: LineProcess[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cidery-lock-'))
  path = join(directory, 'agent.lock')
  processes = []
})
afterEach(async () => {
  await Promise.all(processes.map((process) => process.kill()))
  rmSync(directory, { recursive: true })
})

async function start(...words: string[]): Promise<LineProcess> {
  const process = startLineProcess('lock.child.ts', [path, ...words])
  processes.push(process)
  await process.next('ready')
  return process
}

async function holder(...words: string[]): Promise<LineProcess> {
  const process = await start(...words)
  process.say('take')
  await process.next('held')
  return process
}

/** Takes the lock in this process and gives it back, or answers why not. */
async function tryHere(): Promise<string> {
  try {
    const held = await lock.acquire(path, 'agent')
    await held.release()
    return 'free'
  } catch (error) {
    return (error as { code: string }).code
  }
}

function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}/exe`) || processAnswers(pid)
}

function processAnswers(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    // No such process.
    return false
  }
}

describe('the kernel lock', () => {
  it('refuses a second process within a second, and names the holder and the lock', async () => {
    const first = await holder()
    const second = await start('--start')
    const askedAt = performance.now()
    second.say('take')
    expect(await second.next('refused')).toBe(
      `refused AGENT_LOCKED Another agent instance is already running (pid ${first.pid}, lock ${path})`,
    )
    expect(performance.now() - askedAt).toBeLessThan(1000)
    expect(await second.ended).toBe(3)
    await expect(lock.acquire(path, 'controller')).rejects.toMatchObject({
      code: 'CONTROLLER_LOCKED',
      details: { pid: first.pid, lock: path },
    })
  })

  it('refuses a second holder in the same process, and is not lost by asking', async () => {
    const held = await lock.acquire(path, 'agent')
    expect(await tryHere()).toBe('AGENT_LOCKED')
    const other = await start()
    other.say('take')
    expect(await other.next('refused')).toContain(`pid ${process.pid}`)
    await held.release()
    await held.release()
    other.say('take')
    await other.next('held')
  })

  it('is free at once when its holder lets go or ends [003-08] [003-19]', async () => {
    const first = await holder()
    first.say('release')
    await first.next('released')
    expect(await tryHere()).toBe('free')
    first.say('take')
    await first.next('held')
    first.say('end')
    await first.ended
    const next = await holder()
    expect(next.lines).toContain('held')
    expect(existsSync(`${path}.holder.json`)).toBe(true)
  })

  it('is freed by kill -9, is not fooled by a pid that lives again, and survives a restart of the machine; a living holder keeps it [003-09] [X-04]', async () => {
    const first = await holder()
    expect(await tryHere()).toBe('AGENT_LOCKED')
    await first.kill()
    expect(existsSync(`${path}.holder.json`)).toBe(true)
    expect(await tryHere()).toBe('free')

    // The record names a process that lives: this one. Nobody holds the lock, so nobody is refused.
    for (const processStart of ['1', null]) {
      writeFileSync(`${path}.holder.json`, JSON.stringify({ pid: process.pid, purpose: 'agent', acquiredAt: 1, processStart }))
      expect(await tryHere()).toBe('free')
    }
    // After a restart of the machine files are there, and no process of before is.
    writeFileSync(`${path}.holder.json`, JSON.stringify({ pid: 4_000_000, purpose: 'agent', acquiredAt: 1, processStart: '7' }))
    expect(await tryHere()).toBe('free')
    writeFileSync(`${path}.holder.json`, 'not even JSON')
    expect(await tryHere()).toBe('free')

    // A living holder is never evicted, whatever its record says.
    const second = await holder()
    for (const record of [JSON.stringify({ pid: 4_000_000, purpose: 'agent', acquiredAt: 1, processStart: '7' }), 'garbage', '']) {
      writeFileSync(`${path}.holder.json`, record)
      expect(await tryHere()).toBe('AGENT_LOCKED')
    }
    rmSync(`${path}.holder.json`)
    await expect(lock.acquire(path, 'agent')).rejects.toThrow(`Another agent instance is already running (pid unknown, lock ${path})`)
    second.say('end')
    await second.ended
    expect(await tryHere()).toBe('free')
  })

  it('does not stay with the children of a holder that is gone [X-04]', async () => {
    const first = await holder('--child')
    const child = Number(first.lines.find((line) => line.startsWith('child '))?.slice(6))
    await first.kill()
    expect(alive(child)).toBe(true)
    expect(await tryHere()).toBe('free')
    expect(alive(child)).toBe(true)
    process.kill(child, 'SIGKILL')
  })

  it('lets exactly one of 50 processes survive that start at once [003-10]', async () => {
    for (let round = 0; round < 2; round += 1) {
      // Real starts, without the order that saying `take` to those who are ready would bring.
      const starters = Array.from({ length: 50 }, () => startLineProcess('lock.child.ts', [path, '--start']))
      processes.push(...starters)
      for (const starter of starters) starter.say('take')
      const answers = await Promise.all(starters.map((starter) => Promise.race([starter.next('held', 60_000), starter.ended])))
      expect(answers.filter((answer) => answer === 'held')).toHaveLength(1)
      expect(answers.filter((answer) => answer === 3)).toHaveLength(49)
      await Promise.all(starters.map((starter) => starter.kill()))
    }
  }, 120_000)

  it('gives itself to exactly one of 50 that ask at the same moment, a hundred times [003-10]', async () => {
    const askers = await Promise.all(Array.from({ length: 50 }, () => start('--busy', '100')))
    for (let round = 0; round < 100; round += 1) {
      for (const asker of askers) asker.say('take')
      const answers = await Promise.all(askers.map((asker) => Promise.any([asker.next('held', 60_000), asker.next('refused', 60_000)])))
      const winners = askers.filter((_, i) => answers[i] === 'held')
      expect({ round, winners: winners.length }).toEqual({ round, winners: 1 })
      for (const winner of winners) {
        winner.say('release')
        await winner.next('released')
      }
    }
  }, 120_000)

  it('refuses a place where everybody may write, and makes a private one', async () => {
    const open = join(directory, 'open')
    const held = await lock.acquire(join(open, 'deep', 'agent.lock'), 'agent')
    await held.release()
    expect(statSync(open).mode & 0o777).toBe(0o700)
    expect(statSync(join(open, 'deep', 'agent.lock')).mode & 0o777).toBe(0o600)
    await expect(lock.acquire(join('/tmp', 'cidery-agent.lock'), 'agent')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    for (const mode of [0o777, 0o1777, 0o702]) {
      chmodSync(join(open, 'deep'), mode)
      await expect(lock.acquire(join(open, 'deep', 'agent.lock'), 'agent')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    }
    chmodSync(join(open, 'deep'), 0o700)
    chmodSync(open, 0o777)
    await expect(lock.acquire(join(open, 'deep', 'agent.lock'), 'agent')).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(existsSync(join('/tmp', 'cidery-agent.lock'))).toBe(false)
  })

  it('keeps two identities apart', async () => {
    const held = await lock.acquire(path, 'agent')
    const other = await lock.acquire(join(directory, 'other.lock'), 'agent')
    expect(await tryHere()).toBe('AGENT_LOCKED')
    await Promise.all([held.release(), other.release()])
  })
})
