import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFolderJournal } from '../../src/drivers/journals/folder/folder-journal.ts'
import { testIdentity } from '../doubles/memory-journal.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cidery-journal-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('the journal of an agent', () => {
  it('gives back what was written, also to the next process, and only to its own user', async () => {
    const path = join(folder, 'journal')
    const journal = await openFolderJournal(path)
    expect(await journal.identity()).toBeNull()
    expect(await journal.seen()).toEqual({ epoch: 0, generation: 0 })
    await journal.saveEnrolmentKey('cidery_key_x')
    expect(await journal.enrolmentKey()).toBe('cidery_key_x')
    await journal.saveIdentity(testIdentity())
    await journal.saveSeen({ epoch: 2, generation: 7 })
    await journal.put('attempt', 'att_1', { state: 'running' })
    await journal.put('attempt', 'att_1', { state: 'ended' })
    await journal.put('operation', 'op_1', { a: 1 })
    await journal.remove('operation', 'op_1')
    await journal.remove('operation', 'op_1')
    const next = await openFolderJournal(path)
    expect(await next.identity()).toEqual(testIdentity())
    expect(await next.enrolmentKey()).toBeNull()
    expect(await next.seen()).toEqual({ epoch: 2, generation: 7 })
    expect(await next.list('attempt')).toEqual(new Map([['att_1', { state: 'ended' }]]))
    expect(await next.list('operation')).toEqual(new Map())
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(statSync(join(path, 'attempts')).mode & 0o777).toBe(0o700)
    for (const name of ['identity.json', 'seen.json', 'attempts/att_1.json']) expect(statSync(join(path, name)).mode & 0o777).toBe(0o600)
  })

  it('drops what a crash left half written, refuses names that are no ids, and names a file that somebody changed', async () => {
    const path = join(folder, 'journal')
    await openFolderJournal(path)
    writeFileSync(join(path, 'attempts', 'att_2.json.1.part'), '{"half')
    const journal = await openFolderJournal(path)
    expect(readdirSync(join(path, 'attempts'))).toEqual([])
    await expect((async () => journal.put('attempt', '../escape', {}))()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    writeFileSync(join(path, 'identity.json'), '{"half')
    await expect(journal.identity()).rejects.toThrow('identity.json was changed and cannot be read')
  })
})
