import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { desiredOperation } from '../doubles/virtual-agent.ts'
import { realAgent, until, type RealAgent } from './real-agent.ts'

let agent: RealAgent

beforeEach(async () => {
  agent = await realAgent(2)
})

afterEach(async () => {
  await agent.remove()
})

function last(id: string) {
  return agent.controller.operations.get(id)?.at(-1)
}

async function over(id: string, limitMs = 60_000) {
  return until(() => {
    const report = last(id)
    return report !== undefined && ['SUCCESS', 'ERROR', 'KILLED', 'TIMEOUT'].includes(report.state) ? report : undefined
  }, limitMs)
}

/** Processes whose words hold a mark. */
function withMark(mark: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(mark)
    } catch {
      // It ended since the listing.
      return false
    }
  })
}

describe.runIf(process.platform === 'linux')('a command on the host itself', () => {
  it('brings 100 MB of output line by line without control characters, neither blocking nor filling memory [003-31]', async () => {
    await agent.start()
    const before = process.memoryUsage().rss
    let most = 0
    const script =
      'printf "first\\033[31m red\\033[0m\\a\\n"; sleep 1.5; i=0; while [ $i -lt 100 ]; do head -c 1000000 /dev/zero | tr "\\0" "y" | fold -w 99; i=$((i+1)); done; echo the end'
    const operation = desiredOperation({ kind: 'exec', command: ['sh', '-c', script] })
    agent.controller.operate(operation)
    await until(() => {
      most = Math.max(most, process.memoryUsage().rss)
      return last(operation.id)?.state === 'SUCCESS'
    }, 90_000)
    const tails = agent.controller.operations.get(operation.id)?.map(({ outputTail }) => outputTail) ?? []
    expect(tails).toContain('first red\n')
    expect(tails.every((tail) => tail === '' || tail.endsWith('\n'))).toBe(true)
    expect(tails.at(-1)?.endsWith('the end\n')).toBe(true)
    expect(tails.some((tail) => /[\u0000-\u0008\u000b-\u001f\u007f]/.test(tail))).toBe(false)
    expect(Math.max(...tails.map((tail) => Buffer.byteLength(tail)))).toBeLessThanOrEqual(65_536)
    expect(most - before).toBeLessThan(100 * 1024 ** 2)
    expect(agent.controller.violations).toEqual([])
  })

  it('is ended with all its descendants: TERM to the group, KILL after 3 s [003-32]', async () => {
    await agent.start()
    const mark = `cidery-mark-${process.pid}-${Date.now()}`
    // A child that ignores TERM, a grandchild in the background, and one more below that.
    const script = `trap "" TERM; sh -c 'trap "" TERM; (sh -c "trap \\"\\" TERM; while :; do sleep 1; done # ${mark}" &) ; while :; do sleep 1; done # ${mark}' & while :; do sleep 1; done # ${mark}`
    const operation = desiredOperation({ kind: 'exec', command: ['sh', '-c', script] })
    agent.controller.operate(operation)
    await until(() => withMark(mark).length >= 3)
    await until(() => last(operation.id)?.state === 'EXECUTING')
    const killedAt = performance.now()
    agent.controller.killOperation(operation.id)
    await until(() => last(operation.id)?.state === 'KILLED', 30_000)
    const took = performance.now() - killedAt
    expect(took).toBeGreaterThanOrEqual(2900)
    expect(took).toBeLessThan(8000)
    expect(withMark(mark)).toEqual([])
  })

  it('ends at once when TERM is enough', async () => {
    await agent.start()
    const operation = desiredOperation({ kind: 'exec', command: ['sleep', '1000'] })
    agent.controller.operate(operation)
    await until(() => last(operation.id)?.pid)
    const killedAt = performance.now()
    agent.controller.killOperation(operation.id)
    expect((await over(operation.id)).state).toBe('KILLED')
    expect(performance.now() - killedAt).toBeLessThan(2500)
  })

  it('says what could not be started', async () => {
    await agent.start()
    const operation = desiredOperation({ kind: 'exec', command: ['no-such-program-here'] })
    agent.controller.operate(operation)
    expect(await over(operation.id)).toMatchObject({ state: 'ERROR' })
    expect(last(operation.id)?.reason).toContain('no-such-program-here')
  })
})
