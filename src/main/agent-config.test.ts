import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EngineSettings } from '../drivers/engines/make-engine.ts'
import type { QemuEngineSettings } from '../drivers/engines/qemu/settings.ts'
import { readAgentConfig } from './agent-config.ts'

describe('agent.yaml', () => {
  let folder = ''
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'cidery-config-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (config: unknown): void => writeFileSync(join(folder, 'agent.yaml'), JSON.stringify(config))

  it('takes every setting that the qemu engine has, and gives it on as it is', async () => {
    const qemu: Required<Omit<QemuEngineSettings, keyof EngineSettings>> & Pick<EngineSettings, 'slots'> = {
      slots: 2,
      images: { debian: '/images/debian' },
      acceleration: 'software',
      firstUid: 590_000,
      prefix: 'vm-',
      netRange: '198.19.0.0/16',
      resolvers: ['192.0.2.53'],
      savedStates: 0,
      bootSeconds: 60,
    }
    write({ engines: { qemu } })
    expect((await readAgentConfig(folder)).engines?.qemu).toEqual(qemu)
  })

  it('names the field that is wrong', async () => {
    write({ engines: { qemu: { savedStates: -1 } } })
    await expect(readAgentConfig(folder)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('engines.qemu.savedStates') as unknown,
    })
  })
})
