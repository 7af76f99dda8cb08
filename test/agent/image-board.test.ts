import { describe, expect, it } from 'vitest'
import { imageBoard, type ImageBoardOptions } from '../../src/loop/agent/images.ts'
import type { DesiredBuild } from '../../src/model/image/build.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { virtualTime } from '../doubles/virtual-time.ts'

describe('a build that a host is asked for', () => {
  it('is not begun when it cannot be written down, and is when it is asked for again', async () => {
    const time = virtualTime()
    const written: string[] = []
    let isFull = true
    const journal = {
      put: (_kind: string, id: string) => {
        if (isFull) return Promise.reject(new Error('ENOSPC: no space left on device'))
        written.push(id)
        return Promise.resolve()
      },
    }
    const ports = { ...time, journal, engines: new Map(), log: recordingLog() } as unknown as ImageBoardOptions['ports']
    const board = imageBoard({
      ports,
      hostName: () => 'builder-1',
      blockedAddresses: [],
      slots: () => 1,
      onNews: () => undefined,
      onStock: () => undefined,
      stopping: new AbortController().signal,
    })
    const build = { id: 'bld_1', generation: 1, want: 'build', recipe: { engine: 'qemu' } } as unknown as DesiredBuild
    const wanted = { builds: [build], holds: [], retention: { age: 0, count: 0, budgetBytes: null, freeFloorBytes: 0 } }
    await expect(board.apply(wanted)).rejects.toThrow('ENOSPC')
    expect(board.reports(true)).toEqual([])
    isFull = false
    await board.apply(wanted)
    // This host has no engine: what matters is that it was taken up.
    expect(board.reports(true)).toMatchObject([{ id: 'bld_1', state: 'failed' }])
    expect(written).toContain('bld_1')
  })
})
