import { afterEach, describe, expect, it } from 'vitest'
import { readLog } from '../../src/serve/logs.ts'
import { startFleet, type Fleet, type FleetOptions } from '../doubles/controller-fleet.ts'

let fleet: Fleet | undefined

async function start(options: FleetOptions = {}): Promise<Fleet> {
  fleet = await startFleet(options)
  return fleet
}

afterEach(async () => {
  await fleet?.stop()
  expect(fleet?.faults ?? []).toEqual([])
  fleet = undefined
})

async function logText(of: Fleet, attemptId: string): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of readLog(of.core.services, { attemptId, offset: 0, follow: false, signal: new AbortController().signal }))
    parts.push(part)
  return Buffer.concat(parts).toString()
}

describe('the life of a job', () => {
  it('goes from submission over placement on a host to its exact outcome and whole log', async () => {
    const { submit, agent, ended, attempts, events } = await start()
    await agent('mini-1', {
      script: async ({ reach, write, sleep }) => {
        reach('booting')
        await sleep(200)
        reach('running')
        await write('hello\n')
        await sleep(1000)
        await write('world\n')
        return { kind: 'exited', code: 7 }
      },
    })
    const job = await submit({ command: ['make', 'check'] })
    expect(job.state).toBe('queued')
    const done = await ended(job.id)
    expect(done.outcome).toEqual({ kind: 'exited', code: 7 })
    const [attempt, ...others] = await attempts(job.id)
    expect(others).toEqual([])
    expect(attempt).toMatchObject({ number: 1, state: 'ended', logComplete: true, logBytes: 12 })
    expect(await logText(fleet!, attempt.id)).toBe('hello\nworld\n')
    const kinds = (await events()).filter(({ subject }) => subject === `job/${job.id}`).map(({ kind }) => kind)
    expect(kinds).toEqual(['job.submitted', 'job.assigned', 'job.running', 'attempt.ended', 'job.ended'])
  })
})
