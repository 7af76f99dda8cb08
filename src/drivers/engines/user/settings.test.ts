import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { roomProblems } from '../room.ts'
import { readSettings } from './settings.ts'
import { accountName, allocateUid } from './uids.ts'

describe('settings of the user engine', () => {
  it('start at bk- and UIDs from 600000, far from any person', () => {
    expect(readSettings({ stateDir: '/x' })).toMatchObject({ prefix: 'bk-', firstUid: 600_000, lastUid: 665_535 })
  })

  it.each(['', 'bk', 'root', 'Bk-', 'toolongprefix-', '-', 'a b-', '*-'])(
    'refuse the prefix %j, which could name a person or not fit an interface',
    (prefix) => {
      expect(() => readSettings({ stateDir: '/x', prefix })).toThrow(/prefix/)
    },
  )

  it.each([
    [0, 100],
    [1000, 2000],
    [59_000, 61_000],
    [700_000, 700_000],
    [700_000, 600_000],
    [700_000, 99_999_999],
  ] as const)('refuse the UIDs %i to %i', (first, last) => {
    expect(() => readSettings({ stateDir: '/x', uidRange: [first, last] })).toThrow(/UID range/)
  })
})

describe('names and UIDs of accounts', () => {
  let stateDir: string
  beforeEach(() => (stateDir = mkdtempSync(`${tmpdir()}/cidery-uids-`)))
  afterEach(() => rmSync(stateDir, { recursive: true }))
  const free = (): Promise<boolean> => Promise.resolve(false)

  it('hold the last 20 characters of the job’s id and always fit 32', () => {
    const name = accountName('bk-', 'job_01k9v2w3x4y5z6a7b8c9d0e1f2', () => false)
    expect(name).toBe('bk-w3x4y5z6a7b8c9d0e1f2')
    const taken = new Set([name, `${name}-2`])
    expect(accountName('bk-', 'job_01k9v2w3x4y5z6a7b8c9d0e1f2', (candidate) => taken.has(candidate))).toBe(`${name}-3`)
    expect(accountName('abcdefg-', `job_${'z'.repeat(26)}`, () => false).length + '-999'.length).toBeLessThanOrEqual(32)
    expect(() => accountName('bk-', 'job_x', () => true)).toThrow(/taken/)
  })

  it('go round the range, and ask for a search only once it has wrapped', async () => {
    const config = readSettings({ stateDir, uidRange: [600_000, 600_002] })
    const asked: [number, boolean][] = []
    const isUsed = (uid: number, wrapped: boolean): Promise<boolean> => {
      asked.push([uid, wrapped])
      return Promise.resolve(uid === 600_001)
    }
    const given = [await allocateUid(config, isUsed), await allocateUid(config, isUsed), await allocateUid(config, isUsed)]
    expect(given).toEqual([600_000, 600_002, 600_000])
    expect(asked).toEqual([
      [600_000, false],
      [600_001, false],
      [600_002, false],
      [600_000, true],
    ])
    expect(JSON.parse(readFileSync(`${stateDir}/uids.json`, 'utf8'))).toEqual({ next: 600_001, wrapped: true })
  })

  it('are searched for when the counter cannot be read or points outside the range', async () => {
    const config = readSettings({ stateDir, uidRange: [600_000, 600_002] })
    writeFileSync(`${stateDir}/uids.json`, 'not json')
    let searched = false
    await allocateUid(config, (_, wrapped) => Promise.resolve((searched = wrapped) && false))
    expect(searched).toBe(true)
    writeFileSync(`${stateDir}/uids.json`, JSON.stringify({ next: 5, wrapped: false }))
    expect(await allocateUid(config, free)).toBe(600_000)
  })

  it('end when every UID is in use', async () => {
    const config = readSettings({ stateDir, uidRange: [600_000, 600_002] })
    await expect(allocateUid(config, () => Promise.resolve(true))).rejects.toThrow(/every UID/)
  })
})

describe('the room of a machine', () => {
  it.each([
    [0.9, 0.1, 0],
    [0.901, 0.1, 1],
    [0.9, 0.099, 1],
    [0.95, 0.05, 2],
  ])('with %d of the disk used and %d of the memory free has %i problems', (diskUsed, memoryFree, count) => {
    expect(roomProblems({ diskUsed, memoryFree }, '/state')).toHaveLength(count)
  })
})
