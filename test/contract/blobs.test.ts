import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFolderBlobs } from '../../src/drivers/blobs/folder/folder-blobs.ts'
import type { Blobs } from '../../src/ports/blobs.ts'

const cases = [{ name: 'folder', open: (directory: string) => createFolderBlobs({ directory: join(directory, 'blobs') }) }]

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function arrayOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

describe.each(cases)('a blob store ($name)', ({ open }) => {
  let directory: string
  let blobs: Blobs

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'cidery-blobs-'))
    blobs = await open(directory)
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('appends at the end and answers the new length', async () => {
    expect(await blobs.length('logs/att_1')).toBe(0)
    expect(await blobs.append('logs/att_1', 0, Buffer.from('hello '))).toBe(6)
    expect(await blobs.append('logs/att_1', 6, Buffer.from('world'))).toBe(11)
    expect(await blobs.length('logs/att_1')).toBe(11)
    expect(String(await collect(blobs.read('logs/att_1', 0)))).toBe('hello world')
  })

  it('skips bytes that it holds already, and never changes them', async () => {
    await blobs.append('logs/att_1', 0, Buffer.from('abcdef'))
    expect(await blobs.append('logs/att_1', 3, Buffer.from('XYZghi'))).toBe(9)
    expect(await blobs.append('logs/att_1', 0, Buffer.from('QQ'))).toBe(9)
    expect(String(await collect(blobs.read('logs/att_1', 0)))).toBe('abcdefghi')
  })

  it('refuses a gap and says where to go on', async () => {
    await blobs.append('logs/att_1', 0, Buffer.from('abc'))
    await expect(blobs.append('logs/att_1', 4, Buffer.from('x'))).rejects.toMatchObject({ code: 'OFFSET_MISMATCH', details: { offset: 3 } })
    await expect(blobs.append('logs/att_1', -1, Buffer.from('x'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(await blobs.length('logs/att_1')).toBe(3)
  })

  it('ends with the same bytes whatever chunks arrive twice, late or at once', async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 400 }),
        fc.array(fc.tuple(fc.nat(400), fc.nat(120)), { maxLength: 20 }),
        async (bytes, cuts) => {
          run += 1
          const name = `uploads/upl_${run}`
          await blobs.append(name, 0, new Uint8Array())
          await Promise.allSettled(cuts.map(([start, length]) => blobs.append(name, start, bytes.subarray(start, start + length))))
          for (let at = await blobs.length(name); at < bytes.length; at = await blobs.length(name))
            await blobs.append(name, at, bytes.subarray(at, at + 100))
          expect(await collect(blobs.read(name, 0))).toEqual(Buffer.from(bytes))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('reads ranges', async () => {
    await blobs.append('logs/att_1', 0, Buffer.from('0123456789'))
    expect(String(await collect(blobs.read('logs/att_1', 3)))).toBe('3456789')
    expect(String(await collect(blobs.read('logs/att_1', 3, 6)))).toBe('345')
    expect(String(await collect(blobs.read('logs/att_1', 6, 6)))).toBe('')
    expect(String(await collect(blobs.read('logs/att_1', 8, 100)))).toBe('89')
    expect(String(await collect(blobs.read('logs/att_1', 50)))).toBe('')
    await expect(collect(blobs.read('logs/att_2', 0))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('seals bytes under their digest', async () => {
    const bytes = randomBytes(3_000_000)
    const digest = sha256(bytes)
    expect(await blobs.has(digest)).toBe(false)
    await blobs.append('uploads/upl_1', 0, bytes.subarray(0, 1_000_000))
    await blobs.append('uploads/upl_1', 1_000_000, bytes.subarray(1_000_000))
    expect(await blobs.seal('uploads/upl_1', digest)).toEqual({ sizeBytes: bytes.length })
    expect(await blobs.has(digest)).toBe(true)
    expect(await blobs.length('uploads/upl_1')).toBe(0)
    const whole = await blobs.open(digest)
    expect(whole.sizeBytes).toBe(bytes.length)
    expect((await collect(whole.stream)).equals(bytes)).toBe(true)
    expect((await collect((await blobs.open(digest, 2_999_990)).stream)).equals(bytes.subarray(2_999_990))).toBe(true)
  })

  it('seals the same bytes twice, and again when the answer was lost', async () => {
    const bytes = Buffer.from('same')
    for (const name of ['uploads/upl_1', 'uploads/upl_2']) {
      await blobs.append(name, 0, bytes)
      expect(await blobs.seal(name, sha256(bytes))).toEqual({ sizeBytes: 4 })
    }
    expect(await blobs.seal('uploads/upl_2', sha256(bytes))).toEqual({ sizeBytes: 4 })
  })

  it('refuses to seal other bytes than the digest names, and keeps them for another try', async () => {
    await blobs.append('uploads/upl_1', 0, Buffer.from('wrong'))
    await expect(blobs.seal('uploads/upl_1', sha256(Buffer.from('right')))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(await blobs.length('uploads/upl_1')).toBe(5)
    expect(await blobs.has(sha256(Buffer.from('right')))).toBe(false)
    await expect(blobs.seal('uploads/upl_9', sha256(Buffer.from('right')))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('seals an upload of nothing', async () => {
    await blobs.append('uploads/upl_1', 0, new Uint8Array())
    const digest = sha256(Buffer.alloc(0))
    expect(await blobs.seal('uploads/upl_1', digest)).toEqual({ sizeBytes: 0 })
    expect((await collect((await blobs.open(digest)).stream)).length).toBe(0)
  })

  it('never writes to sealed bytes', async () => {
    const bytes = Buffer.from('sealed')
    await blobs.append('uploads/upl_1', 0, bytes)
    await blobs.seal('uploads/upl_1', sha256(bytes))
    await expect(blobs.append(`sha256/${sha256(bytes)}`, 6, Buffer.from('x'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(blobs.seal(`sha256/${sha256(bytes)}`, sha256(bytes))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it.each([
    '../escape',
    'logs/../../etc/passwd',
    '/etc/passwd',
    'logs//x',
    'logs/./x',
    'logs',
    '',
    'logs/',
    'logs/.hidden',
    'logs/a\0b',
    'logs/a\nb',
    'logs\\..\\x',
    'logs/a/b/c/d',
    `logs/${'a'.repeat(200)}`,
    'sha256/zz',
    `sha256/${'a'.repeat(63)}`,
    `sha256/${'a'.repeat(64)}/x`,
    'logs/ä',
    '..',
    'logs/..',
    'logs/ x',
  ])('refuses the name %j', async (name) => {
    await expect(blobs.append(name, 0, Buffer.from('x'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(blobs.length(name)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(blobs.remove(name)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(() => blobs.read(name, 0)).toThrow(/./)
  })

  it('refuses digests that are none', async () => {
    await blobs.append('uploads/upl_1', 0, Buffer.from('x'))
    for (const digest of ['', '../x', 'A'.repeat(64), 'a'.repeat(65)]) {
      await expect(blobs.seal('uploads/upl_1', digest)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      await expect(blobs.has(digest)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      await expect(blobs.open(digest)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
  })

  it('lists names below a prefix in order, sealed ones among them, and forgets removed ones', async () => {
    const bytes = [Buffer.from('one'), Buffer.from('two'), Buffer.from('three')] as const
    const first = sha256(bytes[0])
    for (const [i, content] of bytes.entries()) {
      await blobs.append(`uploads/upl_${i}`, 0, content)
      await blobs.seal(`uploads/upl_${i}`, sha256(content))
    }
    for (const name of ['logs/att_b', 'logs/att_a', 'logs/att_a1', 'uploads/upl_x', 'logs/deep/att_c'])
      await blobs.append(name, 0, Buffer.from(name))
    const all = async (prefix: string) => (await arrayOf(blobs.list(prefix))).map((entry) => entry.name)
    expect(await all('logs/')).toEqual(['logs/att_a', 'logs/att_a1', 'logs/att_b', 'logs/deep/att_c'])
    expect(await all('logs/att_a')).toEqual(['logs/att_a', 'logs/att_a1'])
    expect(await all('sha256/')).toEqual(bytes.map((content) => `sha256/${sha256(content)}`).sort())
    const everything = await all('')
    expect(everything).toEqual([...everything].sort((a, b) => (a < b ? -1 : 1)))
    expect(everything).toHaveLength(8)
    await blobs.remove('logs/att_a')
    await blobs.remove('logs/att_a')
    await blobs.remove(`sha256/${first}`)
    expect(await all('logs/att_a')).toEqual(['logs/att_a1'])
    expect(await blobs.has(first)).toBe(false)
    expect(await all('nothing/')).toEqual([])
    const [entry] = await arrayOf(blobs.list('logs/att_b'))
    expect(entry).toMatchObject({ sizeBytes: 10 })
    expect(Math.abs((entry?.changedAt ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it('knows how much room is left', async () => {
    expect(await blobs.freeBytes()).toBeGreaterThan(0)
  })
})

describe('the folder of blobs', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'cidery-blobs-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('lets nobody else look in', async () => {
    const blobs = await createFolderBlobs({ directory: join(directory, 'blobs') })
    await blobs.append('logs/att_1', 0, Buffer.from('x'))
    expect(statSync(join(directory, 'blobs')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'blobs/logs')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'blobs/logs/att_1')).mode & 0o777).toBe(0o600)
  })

  it('does not follow a link that somebody put in the place of a blob', async () => {
    const blobs = await createFolderBlobs({ directory: join(directory, 'blobs') })
    await blobs.append('logs/att_1', 0, Buffer.from('x'))
    writeFileSync(join(directory, 'outside'), 'outside')
    symlinkSync(join(directory, 'outside'), join(directory, 'blobs/logs/att_2'))
    await expect(blobs.append('logs/att_2', 0, Buffer.from('overwritten'))).rejects.toMatchObject({ code: 'ELOOP' })
    await expect(collect(blobs.read('logs/att_2', 0))).rejects.toMatchObject({ code: 'ELOOP' })
    expect(await arrayOf(blobs.list('logs/'))).toHaveLength(1)
    expect(readdirSync(directory).sort()).toEqual(['blobs', 'outside'])
  })
})
