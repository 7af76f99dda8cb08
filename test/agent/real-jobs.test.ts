import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { DesiredAttempt } from '../../src/model/sync.ts'
import { desiredAttempt } from '../doubles/virtual-agent.ts'
import { realAgent, until, type RealAgent } from './real-agent.ts'

let agent: RealAgent

beforeEach(async () => {
  agent = await realAgent(1)
})

afterEach(async () => {
  await agent.remove()
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function blob(bytes: Uint8Array): string {
  agent.controller.blobs.set(sha256(bytes), Buffer.from(bytes))
  return sha256(bytes)
}

async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const packed = pack()
  for (const [name, text] of Object.entries(files)) packed.entry({ name }, text)
  packed.finalize()
  const pieces: Uint8Array[] = []
  for await (const piece of Readable.from(packed)) pieces.push(piece as Uint8Array)
  return zstdCompressSync(Buffer.concat(pieces))
}

async function ran(attempt: DesiredAttempt) {
  agent.controller.assign(attempt)
  const report = await until(
    () => (agent.controller.last(attempt.id)?.state === 'ended' ? agent.controller.last(attempt.id) : undefined),
    60_000,
  )
  await until(() => agent.controller.logDone(attempt.id))
  return { report, log: agent.controller.log(attempt.id) }
}

describe('a job on real drivers', () => {
  it('is unpacked, run and collected, and leaves nothing behind [002-87]', async () => {
    await agent.start()
    const source = blob(await tarOf({ 'a file.txt': 'hello\n', 'sub/b.txt': 'there\n' }))
    const tool = blob(Buffer.from('#!/bin/sh\necho tool ran\n'))
    const { report, log } = await ran(
      desiredAttempt({
        source: { kind: 'upload', blob: source },
        files: [{ path: 'bin/tool', blob: tool, mode: 0o755 }],
        artifacts: ['out/**', 'missing.*', 'escape', 'inside'],
        script: [
          'cat "a file.txt" sub/b.txt; bin/tool; mkdir -p out/deep; echo result > out/deep/result.txt; printf x > out/.hidden',
          'ln -s /etc/passwd escape; ln -s out/deep/result.txt inside; exit 7',
        ].join('\n'),
      }),
    )
    expect(report.outcome).toEqual({ kind: 'exited', code: 7 })
    expect(log).toBe('hello\nthere\ntool ran\n')
    expect(report.artifacts.map(({ path, sizeBytes }) => [path, sizeBytes])).toEqual([
      ['inside', 7],
      ['out/.hidden', 1],
      ['out/deep/result.txt', 7],
    ])
    expect(agent.controller.blobs.get(report.artifacts[2]?.blob ?? '')?.toString()).toBe('result\n')
    expect(report.artifactFailures).toEqual([
      { pattern: 'missing.*', reason: 'no file matches' },
      { pattern: 'escape', path: 'escape', reason: 'a symbolic link that leads out of the work directory' },
    ])
    expect(await agent.engine.list()).toEqual([])
    expect(agent.controller.violations).toEqual([])
  })
})
