import { describe, expect, it } from 'vitest'
import { CideryError } from '../../src/model/errors.ts'
import { minute } from '../../src/model/instant.ts'
import { desiredAttempt, desiredOperation, virtualAgent, type VirtualAgent } from '../doubles/virtual-agent.ts'

function states(agent: VirtualAgent, id: string): readonly string[] {
  return [...new Set((agent.controller.operations.get(id) ?? []).map(({ state }) => state))]
}

function last(agent: VirtualAgent, id: string) {
  return agent.controller.operations.get(id)?.at(-1)
}

const sleep = { runsMs: 30 * minute, log: 'line one\nline two\n' }

describe('an agent that carries out operations', () => {
  it('tells each state in order, with pid, output and exit code', async () => {
    const agent = virtualAgent(() => ({ runsMs: 3000, log: 'one\n\u001b[31mred\u001b[0m\ntwo\n', code: 0 }))
    await agent.start()
    const operation = desiredOperation({ kind: 'exec', command: ['uname', '-a'] })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'SUCCESS', minute)
    expect(states(agent, operation.id)).toEqual(['VALIDATING', 'EXECUTING', 'SUCCESS'])
    expect(last(agent, operation.id)).toMatchObject({ exitCode: 0, pid: 4242, outputTail: 'one\nred\ntwo\n' })
    // Output came while it ran, whole lines only.
    const tails = agent.controller.operations.get(operation.id)?.map(({ outputTail }) => outputTail) ?? []
    expect(tails).toContain('one\n')
    expect(tails.every((tail) => tail === '' || tail.endsWith('\n'))).toBe(true)
    await agent.time.advance(minute)
    expect(await agent.ports.journal.list('operation')).toEqual(new Map())
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })

  it('sends facts that are newer than a success, so that it can be believed', async () => {
    const agent = virtualAgent(() => ({ runsMs: 100 }))
    await agent.start()
    await agent.time.advance(minute)
    const operation = desiredOperation({ kind: 'exec', command: ['true'] })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'SUCCESS', minute)
    const told = agent.controller.syncs.length
    await agent.time.advance(1000)
    expect(agent.controller.syncs.slice(told).some(({ request }) => request.facts !== null)).toBe(true)
    await agent.kill()
  })

  it('refuses an upgrade when it was not installed from a release, and says how it would be', async () => {
    const agent = virtualAgent()
    await agent.start()
    const [blob, release] = ['0'.repeat(64), '1'.repeat(64)]
    const operation = desiredOperation({
      kind: 'upgradeAgent',
      blob,
      sizeBytes: 1,
      version: '2.0.0',
      release,
      allowDowngrade: false,
      deadlineS: 60,
    })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'ERROR', minute)
    expect(last(agent, operation.id)?.reason).toBe('this agent is not from a release')
    await agent.kill()
  })

  it('answers a second operation with what runs, and carries it out afterwards', async () => {
    const agent = virtualAgent((words) => (words[0] === 'sleep' ? sleep : { runsMs: 100 }))
    await agent.start()
    const first = desiredOperation({ kind: 'exec', command: ['sleep', '1800'] })
    const second = desiredOperation({ kind: 'exec', command: ['true'] })
    agent.controller.operate(first)
    await agent.time.until(() => last(agent, first.id)?.pid === 4242, minute)
    agent.controller.operate(second)
    await agent.time.until(() => last(agent, second.id)?.state === 'BLOCKED', minute)
    expect(last(agent, second.id)).toMatchObject({ rejected: { by: first.id, kind: 'exec', pid: 4242 } })
    expect(last(agent, second.id)?.reason).toContain('sleep 1800')
    agent.controller.killOperation(first.id)
    await agent.time.until(() => last(agent, first.id)?.state === 'KILLED', minute)
    await agent.time.until(() => last(agent, second.id)?.state === 'SUCCESS', minute)
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })

  it('warns, then ends at the hard limit, which can be moved', async () => {
    const agent = virtualAgent(() => sleep)
    await agent.start()
    const operation = desiredOperation({ kind: 'exec', command: ['sleep', '1800'] }, { warningMs: 5 * minute, hardMs: 10 * minute })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'RUNNING_WARNING', 6 * minute)
    agent.controller.operate({ ...operation, hardMs: 20 * minute })
    await agent.time.advance(10 * minute)
    expect(last(agent, operation.id)?.state).toBe('RUNNING_WARNING')
    await agent.time.advance(6 * minute)
    expect(last(agent, operation.id)).toMatchObject({ state: 'TIMEOUT' })
    expect(states(agent, operation.id)).toEqual(['VALIDATING', 'EXECUTING', 'RUNNING_WARNING', 'KILLING', 'TIMEOUT'])
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })

  it('goes on with a command after its own death', async () => {
    const agent = virtualAgent(() => ({ runsMs: 60_000, log: 'kept\n', code: 6 }))
    await agent.start()
    const operation = desiredOperation({ kind: 'exec', command: ['make'] })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'EXECUTING', minute)
    await agent.crash()
    await agent.time.advance(10_000)
    await agent.start()
    await agent.time.until(() => last(agent, operation.id)?.state === 'ERROR', 2 * minute)
    expect(last(agent, operation.id)).toMatchObject({ exitCode: 6, reason: 'exit code 6', outputTail: 'kept\n' })
    expect(agent.supervisors.runs.length).toBe(1)
    await agent.kill()
  })

  it('restarts after the jobs ended when asked to drain, and the next agent says so', async () => {
    const agent = virtualAgent(() => ({ runsMs: 20_000 }))
    const loop = await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', minute)
    const operation = desiredOperation({ kind: 'restartAgent', drain: true })
    agent.controller.operate(operation)
    let end: string | undefined
    void loop.ended.then((how) => (end = how))
    await agent.time.advance(10_000)
    expect(end).toBeUndefined()
    await agent.time.advance(40_000)
    expect(end).toBe('restart')
    expect(last(agent, operation.id)?.state).toBe('AWAITING_RECONNECT')
    await agent.start()
    await agent.time.until(() => last(agent, operation.id)?.state === 'SUCCESS', minute)
    await agent.kill()
  })

  it('refuses a reboot unless its host allows it, and believes in one only after a new boot', async () => {
    const agent = virtualAgent()
    await agent.start()
    const refused = desiredOperation({ kind: 'reboot' })
    agent.controller.operate(refused)
    await agent.time.until(() => last(agent, refused.id)?.state === 'ERROR', minute)
    expect(last(agent, refused.id)?.reason).toContain('--allow-reboot')
    await agent.kill()

    await agent.start({ rebootCommand: ['systemctl', 'reboot'] })
    const allowed = desiredOperation({ kind: 'reboot' })
    agent.controller.operate(allowed)
    await agent.time.until(() => last(agent, allowed.id)?.state === 'AWAITING_RECONNECT', minute)
    await agent.crash()
    agent.host.bootId = 'boot-2'
    await agent.start({ rebootCommand: ['systemctl', 'reboot'] })
    await agent.time.until(() => last(agent, allowed.id)?.state === 'SUCCESS', minute)
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })

  it('proves readiness when asked, and says which engine does not boot', async () => {
    const agent = virtualAgent()
    await agent.start()
    agent.engine.faults.start = new CideryError('ENGINE_FAILED', 'no room')
    const operation = desiredOperation({ kind: 'probe' })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'ERROR', minute)
    expect(last(agent, operation.id)?.outputTail).toBe('user/: no room\n')
    expect(agent.engine.sandboxes.size).toBe(0)
    await agent.kill()
  })

  it('cleans what nobody owns, and nothing else', async () => {
    const agent = virtualAgent(() => ({ runsMs: 10 * minute }))
    await agent.start()
    const attempt = desiredAttempt()
    agent.controller.assign(attempt)
    await agent.time.until(() => agent.controller.last(attempt.id)?.state === 'running', minute)
    const stray = {
      id: 'att_stray',
      jobId: 'job_stray',
      image: null,
      shape: { cpu: 1, memoryMiB: 1, diskMiB: 1 },
      limits: 'enforced',
      network: 'nat',
      blockedAddresses: [],
      mount: null,
    } as const
    await agent.engine.create(stray)
    const operation = desiredOperation({ kind: 'clean' })
    agent.controller.operate(operation)
    await agent.time.until(() => last(agent, operation.id)?.state === 'SUCCESS', minute)
    expect(last(agent, operation.id)?.outputTail).toBe('user: removed 1 sandboxes, 0 accounts, 0 processes, 0 bytes\n')
    expect([...agent.engine.sandboxes.keys()]).toEqual([attempt.id])
    await agent.kill()
  })

  it('makes, stops, starts and removes the sandboxes of people, and removes what is listed no more', async () => {
    const agent = virtualAgent()
    await agent.start()
    const id = 'sbx_00000000000000000000000001'
    const done = async (request: Parameters<typeof desiredOperation>[0]) => {
      const operation = desiredOperation(request)
      agent.controller.operate(operation)
      await agent.time.until(() => ['SUCCESS', 'ERROR'].includes(last(agent, operation.id)?.state ?? ''), minute)
      return last(agent, operation.id)
    }
    const reported = () => agent.controller.syncs.at(-1)?.request.sandboxes
    agent.controller.setSandboxes([id])
    expect((await done({ kind: 'sandboxCreate', sandboxId: id, engine: 'user', image: null, ttlS: 3600 }))?.state).toBe('SUCCESS')
    expect(reported()).toMatchObject([{ id, state: 'running', isolation: 'account' }])
    expect((await done({ kind: 'sandboxSnapshot', sandboxId: id, name: 'x' }))?.reason).toContain('takes no snapshots')
    expect((await done({ kind: 'sandboxStop', sandboxId: id }))?.state).toBe('SUCCESS')
    await agent.crash()
    await agent.start()
    await agent.time.advance(1000)
    expect(reported()).toMatchObject([{ id, state: 'stopped' }])
    expect((await done({ kind: 'sandboxStart', sandboxId: id }))?.state).toBe('SUCCESS')
    const before = agent.engine.sandboxes.get(id)
    expect((await done({ kind: 'sandboxReset', sandboxId: id }))?.state).toBe('SUCCESS')
    expect(agent.engine.sandboxes.get(id)).not.toBe(before)
    expect(reported()).toMatchObject([{ id, state: 'running', isolation: 'account', reason: '' }])
    agent.controller.setSandboxes([])
    await agent.time.advance(5000)
    expect(agent.engine.sandboxes.size).toBe(0)
    expect(await agent.ports.journal.list('sandbox')).toEqual(new Map())
    await agent.time.advance(30_000)
    expect(reported()).toEqual([])
    await agent.kill()
  })

  it('makes a sandbox anew that broke, also when it died over it', async () => {
    const agent = virtualAgent()
    await agent.start()
    const id = 'sbx_00000000000000000000000001'
    const ask = async (request: Parameters<typeof desiredOperation>[0], state: string) => {
      const operation = desiredOperation(request)
      agent.controller.operate(operation)
      await agent.time.until(() => last(agent, operation.id)?.state === state, minute)
      return operation.id
    }
    agent.controller.setSandboxes([id])
    await ask({ kind: 'sandboxCreate', sandboxId: id, engine: 'user', image: null, ttlS: 3600 }, 'SUCCESS')
    agent.engine.faults.start = new CideryError('ENGINE_FAILED', 'no room')
    await ask({ kind: 'sandboxReset', sandboxId: id }, 'ERROR')
    expect(agent.controller.syncs.at(-1)?.request.sandboxes).toMatchObject([{ id, state: 'failed', reason: 'no room' }])
    delete agent.engine.faults.start
    agent.engine.bootMs = 10_000
    const again = desiredOperation({ kind: 'sandboxReset', sandboxId: id })
    agent.controller.operate(again)
    await agent.time.until(() => last(agent, again.id)?.state === 'EXECUTING', minute)
    await agent.crash()
    await agent.start()
    await agent.time.until(() => last(agent, again.id)?.state === 'SUCCESS', minute)
    expect(agent.controller.syncs.at(-1)?.request.sandboxes).toMatchObject([{ id, state: 'running', reason: '' }])
    expect(agent.controller.violations).toEqual([])
    await agent.kill()
  })
})
