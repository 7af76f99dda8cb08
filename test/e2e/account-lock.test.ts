import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startFleet } from './fleet.ts'
import { runCidery } from './processes.ts'

it('refuses a second agent of the machine that would make accounts of the same prefix, and says whose they are', async () => {
  const fleet = await startFleet({ store: 'sqlite', name: 'accounts' })
  try {
    const second = join(fleet.directory, 'second')
    await cp(join(fleet.directory, 'agent', 'agent.yaml'), join(second, 'agent.yaml'))
    const { token } = await fleet.api.post<{ token: string }>('/enrolments', { name: 'host-2' })
    const refused = await runCidery(['agent', 'run', '--url', fleet.address().url, '--state', second], {
      env: { CIDERY_ENROL_TOKEN: token },
      deadlineMs: 30_000,
    })
    expect(refused.code).toBe(5)
    expect(refused.stderr).toContain(`accounts of this machine that begin with ${fleet.prefix}`)
    expect(refused.stderr).toContain('agent.yaml')
  } finally {
    await fleet.remove()
  }
}, 120_000)
