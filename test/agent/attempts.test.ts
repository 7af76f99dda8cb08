import { describe, expect, it } from 'vitest'
import { desiredAttempt, virtualAgent } from '../doubles/virtual-agent.ts'

describe('an agent that carries out attempts', () => {
  it('runs a job end to end and brings its log, exit code and times', async () => {
    const agent = virtualAgent(() => ({ runsMs: 5000, log: 'building\ndone\n', code: 3 }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'ended', 60_000)
    await agent.time.advance(10_000)
    const report = agent.controller.last(attempt.id)
    expect(report?.outcome).toEqual({ kind: 'exited', code: 3 })
    expect(agent.controller.log(attempt.id)).toBe('building\ndone\n')
    expect(agent.controller.logDone(attempt.id)).toBe(true)
    expect(Object.keys(report?.times ?? {})).toEqual([
      'assigned',
      'booting',
      'preparing',
      'sourceReady',
      'running',
      'collecting',
      'cleaning',
      'ended',
    ])
    expect(agent.engine.sandboxes.size).toBe(0)
    expect(await agent.ports.journal.list('attempt')).toEqual(new Map())
    expect(await agent.supervisors.list()).toEqual([])
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })
})
