import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { minute } from '../../src/model/instant.ts'
import { hasBlob, keepBlob } from '../../src/record/blobs.ts'
import { startFleet, type Fleet } from '../doubles/controller-fleet.ts'
import type { Script } from '../doubles/simulated-agent.ts'
import { the } from '../doubles/the.ts'

const spec = { limits: { logRetention: '2h', artifactRetention: '3h', historyRetention: '5h', journalRetention: '6h' } }

async function namesUnder(fleet: Fleet, prefix: string): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { name } of fleet.blobs.list(prefix)) names.push(name)
  return names
}

/** Puts bytes where an upload leaves them. */
async function kept(fleet: Fleet, text: string): Promise<string> {
  const bytes = Buffer.from(text)
  const digest = createHash('sha256').update(bytes).digest('hex')
  await fleet.blobs.append(`uploads/${text}`, 0, bytes)
  await fleet.blobs.seal(`uploads/${text}`, digest)
  await fleet.store.write((tx) => keepBlob(tx, { digest, sizeBytes: bytes.length, at: fleet.time.clock.now() }))
  return digest
}

const has = (fleet: Fleet, digest: string): Promise<boolean> => fleet.store.read((db) => hasBlob(db, digest))

describe('retention', () => {
  it('removes logs, bytes and history each in its time, and nothing that a live job needs', async () => {
    const fleet = await startFleet({ spec })
    const hour = 60 * minute
    const script: Script = async ({ reach, write, desired, cancelled }) => {
      reach('running')
      await write('words\n')
      return desired.job.spec.command?.[0] === 'stay' ? { kind: 'cancelled', by: await cancelled } : { kind: 'exited', code: 0 }
    }
    await fleet.agent('mini-1', { script })
    const needed = await kept(fleet, 'needed')
    const old = await kept(fleet, 'old')
    const stays = await fleet.submit({ command: ['stay'], source: { kind: 'upload', blob: needed } })
    const goes = await fleet.submit({ command: ['go'] })
    await fleet.ended(goes.id)
    const log = `logs/${the((await fleet.attempts(goes.id))[0]).id}`
    const liveLog = `logs/${the((await fleet.attempts(stays.id))[0]).id}`
    expect(await namesUnder(fleet, 'logs/')).toContain(log)

    // Looked at once an hour.
    await fleet.time.advance(3 * hour + minute)
    expect(await namesUnder(fleet, 'logs/')).toEqual([liveLog])
    expect(await has(fleet, old)).toBe(true)

    await fleet.time.advance(hour)
    expect(await has(fleet, old)).toBe(false)
    expect(await fleet.blobs.has(old)).toBe(false)
    expect(await has(fleet, needed)).toBe(true)
    expect(await fleet.blobs.has(needed)).toBe(true)
    expect((await fleet.job(goes.id)).state).toBe('ended')

    await fleet.time.advance(2 * hour)
    await expect(fleet.job(goes.id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await fleet.attempts(goes.id)).toEqual([])
    expect((await fleet.job(stays.id)).state).toBe('running')

    await fleet.time.advance(3 * hour)
    const kinds = (await fleet.events()).map(({ kind }) => kind)
    expect(kinds).toContain('journal.cut')
    expect(kinds).not.toContain('job.submitted')
    await fleet.cancel(stays.id)
    await fleet.ended(stays.id)
    await fleet.stop()
  })
})
