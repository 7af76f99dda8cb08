import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startLineProcess } from './line-process.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cidery-files-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

describe('blobs and kill -9', () => {
  it('loses no byte of an append that was acknowledged, and goes on from the length that is there', async () => {
    let acknowledged = 0
    for (let round = 0; round < 6; round += 1) {
      const writer = startLineProcess('appender.child.ts', [directory])
      const ready = await writer.next('ready')
      const start = Number(ready.slice(6))
      expect(start).toBeGreaterThanOrEqual(acknowledged)
      for (let i = 0; i < 3; i += 1) await writer.next('ack')
      await new Promise((resolve) => void setTimeout(resolve, Math.random() * 30))
      await writer.kill()
      acknowledged = Number(writer.lines.findLast((line) => line.startsWith('ack '))?.slice(4))
      const bytes = readFileSync(join(directory, 'logs', 'att_1'))
      expect(bytes.length).toBeGreaterThanOrEqual(acknowledged)
      expect(bytes.findIndex((byte, i) => byte !== i % 251)).toBe(-1)
    }
  })
})

describe('key files', () => {
  it('are made once when many processes start at the same moment', async () => {
    const openers = Array.from({ length: 8 }, () => startLineProcess('key.child.ts', [directory]))
    try {
      await Promise.all(openers.map((opener) => opener.next('ready')))
      for (const opener of openers) opener.say('go')
      const keys = await Promise.all(openers.map((opener) => opener.next('key')))
      expect(new Set(keys).size).toBe(1)
      expect(readdirSync(directory).sort()).toEqual(['journal.key', 'secrets.key'])
    } finally {
      await Promise.all(openers.map((opener) => opener.kill()))
    }
  })
})
