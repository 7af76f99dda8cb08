import { describe, expect, it } from 'vitest'
import { Spec } from '../../model/spec.ts'
import { settingsFor } from './settings.ts'

describe('the settings of a host’s agent', () => {
  it('say what to keep started: what the jobs of the queue get', () => {
    const spec = Spec.parse({
      version: 1,
      images: { debian: { engine: 'qemu' } },
      pools: { default: { engines: { user: {}, qemu: { networks: ['none', 'nat'], warm: { linux: 2 } } } } },
      queues: { linux: { engine: 'qemu', image: 'debian', shape: { cpu: 2, memoryMiB: 512, diskMiB: 100 } } },
    })
    const open = { name: 'mini-1', pool: 'default', schedulable: { kind: 'open' } } as const
    const { engines } = settingsFor(spec, open)
    const shape = { cpu: 2, memoryMiB: 512, diskMiB: 100 }
    expect(engines['qemu']?.warm).toEqual([{ image: 'debian', shape, network: 'none', count: 2 }])
    const cordoned = { ...open, schedulable: { kind: 'cordoned', by: 'user:ann', at: 1, reason: '' } } as const
    expect(settingsFor(spec, cordoned).engines['qemu']?.warm).toBeUndefined()
    expect(engines['user']).toEqual({ slots: null, limits: 'enforced', networks: ['nat', 'none'] })
  })
})
