import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { processTree } from '../../src/drivers/processes/process-tree.ts'
import type { StartedProcess } from '../../src/ports/processes.ts'
import { eventually } from './support/eventually.ts'

const processes = new LocalProcesses()

function shell(script: string, options: Parameters<LocalProcesses['start']>[1] = {}): Promise<StartedProcess> {
  return processes.start({ argv: ['/bin/sh', '-c', script], env: { PATH: '/usr/bin:/bin' }, cwd: '/' }, options)
}

async function textOf(output: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of output) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

describe('local processes', () => {
  it('give output, exit code and the tail of the errors', async () => {
    const started = await shell('echo out; echo err >&2; exit 3')
    expect(await textOf(started.output)).toBe('out\n')
    expect(await started.ended).toEqual({ code: 3, signal: null })
    expect(started.errorTail()).toBe('err\n')
  })

  it('feed what they are given, and do not mind a process that stops reading', async () => {
    const all = await shell('wc -c', { input: new Uint8Array(3_000_000) })
    expect((await textOf(all.output)).trim()).toBe('3000000')
    await all.ended
    const early = await shell('head -c 1 >/dev/null', { input: new Uint8Array(3_000_000) })
    await textOf(early.output)
    expect(await early.ended).toEqual({ code: 0, signal: null })
  })

  it('tell what broke their input', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      await Promise.resolve()
      throw new Error('the source broke')
    }
    const started = await shell('cat', { input: broken() })
    await textOf(started.output)
    await expect(started.ended).rejects.toThrow('the source broke')
  })

  it('take input as it comes and report the signal that ended them', async () => {
    const started = await shell('read -r line; echo "got $line"; kill -USR1 $$', { interactive: true })
    await started.write(Buffer.from('hello\n'))
    expect(await textOf(started.output)).toBe('got hello\n')
    expect(await started.ended).toEqual({ code: null, signal: 10 })
  })

  it('refuse a program that is not there with ENGINE_FAILED', async () => {
    await expect(processes.start({ argv: ['/nowhere/x'], env: {}, cwd: '/' })).rejects.toMatchObject({ code: 'ENGINE_FAILED' })
  })

  it.runIf(existsSync('/proc/self/stat'))(
    'stop a whole family: grandchildren that ignore TERM, and those in sessions of their own [003-32]',
    async () => {
      const started = await shell(`(trap '' TERM; sleep 300 & wait; sleep 300) & setsid sleep 300 & sleep 300`)
      await eventually(() => expect(processTree(started.pid).length).toBeGreaterThanOrEqual(5))
      const family = processTree(started.pid)
      const start = performance.now()
      await started.stop(300)
      expect(performance.now() - start).toBeGreaterThan(250)
      expect(family.filter((pid) => existsSync(`/proc/${pid}/exe`))).toEqual([])
      await started.stop(300)
    },
  )

  it('end at TERM without waiting for the rest of the grace', async () => {
    const started = await shell('sleep 300')
    const start = performance.now()
    await started.stop(60_000)
    expect(performance.now() - start).toBeLessThan(10_000)
    expect((await started.ended).signal).toBe(15)
  })
})
