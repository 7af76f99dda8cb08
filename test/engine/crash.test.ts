import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { leftOf, ownSettings, removeSettings } from './support/engine-under-test.ts'
import { eventually } from './support/eventually.ts'

/** How often the agent is killed: a share here, the whole in the soak. */
const kills = Number(process.env['CIDERY_SOAK_KILLS'] ?? 12)

const settings = ownSettings()

afterAll(async () => {
  await makeUserEngine(settings).sweep(new Set())
  await eventually(() => expect(leftOf(settings)).toEqual([]))
  removeSettings(settings)
})

/** Accounts that no engine made: other engines on this machine make and remove theirs at the same time. */
function otherAccounts(): readonly string[] {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  return lines.filter((line) => Number(line.split(':')[2]) < 60_000)
}

describe('an agent that is killed', () => {
  it(
    `leaves nothing that the next start does not remove, ${kills} times at any moment, and no other account is touched [001-37]`,
    async () => {
      const before = otherAccounts()
      for (let kill = 0; kill < kills; kill += 1) {
        const agent = spawn(
          process.execPath,
          [fileURLToPath(new URL('./support/busy-agent.ts', import.meta.url)), JSON.stringify(settings)],
          {
            detached: true,
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        )
        const gone = new Promise((resolve) => agent.once('exit', resolve))
        await new Promise((resolve) => agent.stdout.once('data', resolve))
        // Spread evenly over a life of a sandbox (0.2–2 s), whole process group or the agent alone.
        await sleep((kill * 137) % 1900)
        process.kill(kill % 2 === 0 ? -(agent.pid ?? 0) : (agent.pid ?? 0), 'SIGKILL')
        await gone
        const engine = makeUserEngine(settings)
        const report = await engine.sweep(new Set())
        expect(report.failures, `kill ${kill}`).toEqual([])
        await eventually(() => expect(leftOf(settings), `kill ${kill}`).toEqual([]))
        expect(await engine.list()).toEqual([])
        expect(await engine.check(null)).toMatchObject({ ok: true })
      }
      expect(otherAccounts()).toEqual(before)
    },
    30_000 + kills * 20_000,
  )
})
