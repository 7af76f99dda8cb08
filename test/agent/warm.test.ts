import { describe, expect, it } from 'vitest'
import { warmKeeper } from '../../src/loop/agent/warm.ts'
import type { AgentSettings } from '../../src/model/sync.ts'
import type { Engine, WarmRequest } from '../../src/ports/engine.ts'
import { fakeEngine } from '../doubles/fake-engine.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { virtualTime } from '../doubles/virtual-time.ts'

const like = { image: 'debian', shape: { cpu: 1, memoryMiB: 256, diskMiB: 64 }, network: 'none' } as const

describe('an agent that keeps sandboxes started', () => {
  it('asks for what the settings say, removes nothing before it knows them, and tries again later what failed', async () => {
    const time = virtualTime()
    const asked: (readonly WarmRequest[])[] = []
    let fault: Error | null = null
    const engine = {
      ...fakeEngine(time),
      name: 'qemu',
      keepWarm(wanted: readonly WarmRequest[]) {
        asked.push(wanted)
        return fault === null ? Promise.resolve() : Promise.reject(fault)
      },
    } satisfies Engine & { readonly keepWarm: unknown }
    let settings = { engines: {} } as unknown as AgentSettings
    let knows = false
    const log = recordingLog()
    const control = new AbortController()
    const engines = new Map<Engine['name'], Engine>([
      ['user', fakeEngine(time)],
      ['qemu', engine],
    ])
    const { timers } = time
    const keeper = warmKeeper({
      ports: { engines, timers, log },
      blockedAddresses: ['192.0.2.1'],
      settings: () => settings,
      knows: () => knows,
      stopping: control.signal,
    })
    const ended = keeper.run().catch((error: unknown) => error)
    await time.advance(60_000)
    expect(asked).toEqual([])
    knows = true
    keeper.wake()
    // Once: what is not wanted and not there needs no looks.
    await time.advance(3_600_000)
    expect(asked).toEqual([[]])
    expect(time.pending()).toBe(0)
    settings = {
      engines: { qemu: { slots: null, limits: 'advisory', networks: ['none'], warm: [{ ...like, count: 2 }] } },
    } as unknown as AgentSettings
    keeper.wake()
    await time.advance(5000)
    expect(asked.length).toBe(3)
    expect(asked.at(-1)).toEqual([{ like: { ...like, limits: 'advisory', blockedAddresses: ['192.0.2.1'] }, count: 2 }])
    fault = new Error('no image')
    const before = asked.length
    await time.advance(66_000)
    expect(asked.length).toBe(before + 1)
    expect(log.lines.map(({ facts }) => facts)).toContainEqual({ engine: 'qemu', error: 'no image' })
    control.abort(new Error('over'))
    expect(await ended).toMatchObject({ message: 'over' })
  })

  it('does nothing at all on a host where no engine can', async () => {
    const time = virtualTime()
    const engines = new Map<Engine['name'], Engine>([['user', fakeEngine(time)]])
    const settings = { engines: {} } as unknown as AgentSettings
    const ports = { engines, timers: time.timers, log: recordingLog() }
    const stopping = new AbortController().signal
    await warmKeeper({ ports, stopping, blockedAddresses: [], settings: () => settings, knows: () => true }).run()
    expect(time.pending()).toBe(0)
  })
})
