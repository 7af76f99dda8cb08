import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { Readable } from 'node:stream'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CideryError } from '../../src/model/errors.ts'
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

  it('that was cleaned up by an agent which died before it wrote that down leaves nothing that could not be cleaned up', async () => {
    const destroy = agent.engine.destroy.bind(agent.engine)
    let deaths = 0
    agent.engine.destroy = async (id) => {
      await destroy(id)
      deaths += 1
      if (deaths === 1) throw new Error('the agent died here')
    }
    await agent.start()
    const { report } = await ran(desiredAttempt({ script: 'exit 0' }))
    expect(report).toMatchObject({ outcome: { kind: 'exited', code: 0 }, notes: [] })
    expect((await agent.ports.journal.list('sandbox')).size).toBe(0)
  })

  it('gets an environment by allow-list, in which any value survives [002-88]', async () => {
    process.env['CIDERY_TEST_HOST_ONLY'] = 'secret of the host'
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,30}$/)
    const reserved = new Set([
      'PATH',
      'SHELL',
      'LANG',
      'HOME',
      'USER',
      'LOGNAME',
      'TMPDIR',
      'CI',
      'PWD',
      '_',
      'SHLVL',
      'OLDPWD',
      '__proto__',
    ])
    const value = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.string({
        unit: fc.constantFrom('\n', '"', "'", '$', '`', '\\', ' ', '=', '*', ';', '\t', '\r', '%', 'é', '🦀', '-'),
        maxLength: 60,
      }),
    )
    const env = fc.sample(
      fc.dictionary(
        name,
        value.map((text) => text.replaceAll('\0', '').toWellFormed()),
        { minKeys: 40, maxKeys: 80 },
      ),
      { numRuns: 4, seed: 88 },
    )
    await agent.start()
    for (const each of env) {
      const wanted = Object.fromEntries(Object.entries(each).filter(([key]) => !reserved.has(key) && !key.startsWith('CIDERY_')))
      const attempt = desiredAttempt({ env: wanted, command: ['env', '-0'] })
      const { report, log } = await ran(attempt)
      expect([report.outcome, log.slice(0, 300)]).toEqual([{ kind: 'exited', code: 0 }, log.slice(0, 300)])
      const seen = Object.fromEntries(
        log
          .split('\0')
          .filter((line) => line !== '')
          .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      )
      const own = [
        'CI',
        'CIDERY_ATTEMPT',
        'CIDERY_JOB_ID',
        'CIDERY_QUEUE',
        'CIDERY_SECRETS',
        'CIDERY_WORK',
        'HOME',
        'LANG',
        'LOGNAME',
        'PATH',
        'SHELL',
        'TMPDIR',
        'USER',
      ]
      const extra = Object.keys(seen).filter((key) => !own.includes(key) && !Object.hasOwn(wanted, key))
      expect(extra.filter((key) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(key))).toEqual([])
      expect(Object.keys(seen)).toEqual(expect.arrayContaining(own))
      for (const [key, text] of Object.entries(wanted)) expect([key, seen[key]]).toEqual([key, text])
      expect(seen['CIDERY_JOB_ID']).toBe(attempt.jobId)
    }
    delete process.env['CIDERY_TEST_HOST_ONLY']
  })

  it('refuses an environment that no process could be started with, as a fault of the job', async () => {
    await agent.start()
    const { report } = await ran(desiredAttempt({ env: { BIG: 'x'.repeat(131_072) } }))
    expect(report.outcome).toMatchObject({ kind: 'setupFailed', step: 'command' })
    expect(JSON.stringify(report.outcome)).toContain('BIG')
  })

  it.each([
    ['exit 0', { kind: 'exited', code: 0 }],
    ['exit 201', { kind: 'exited', code: 201 }],
    ['kill -SEGV $$', { kind: 'signalled', signal: 11 }],
    ['kill -KILL $$', { kind: 'signalled', signal: 9 }],
    ['no-such-program-here', { kind: 'exited', code: 127 }],
  ])('brings the exact end of `%s`, also when the log cannot be sent [002-89]', async (script, outcome) => {
    await agent.start()
    const attempt = desiredAttempt({ script: `echo before; ${script}` })
    // Every other piece of the log is cut off, before or after it was stored.
    let turn = 0
    agent.controller.fault = (call) => {
      if (!call.startsWith('appendLog')) return null
      turn += 1
      return turn % 2 === 1 && turn < 9 ? new CideryError('UNREACHABLE', 'the connection broke') : null
    }
    const { report, log } = await ran(attempt)
    expect(report.outcome).toEqual(outcome)
    expect(log.startsWith('before\n')).toBe(true)
    expect(agent.controller.violations).toEqual([])
  })

  it('hides its secrets in the log, however they are written, and gets them as files', async () => {
    await agent.start()
    const pem = '-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n'
    const attempt = desiredAttempt({
      secrets: ['TOKEN', 'PEM'],
      script: [
        'stat -c "%a %U" "$CIDERY_SECRETS/TOKEN" | sed "s/$USER/me/"',
        't=$(cat "$CIDERY_SECRETS/TOKEN"); echo "plain $t end"; printf "user:%s" "$t" | base64 -w0; echo',
        'cat "$CIDERY_SECRETS/PEM"; printf %s "${t%?????}"; sleep 0.5; printf "%s\n" "${t#"${t%?????}"}"; env | grep -c "$t"',
      ].join('\n'),
    })
    agent.controller.secrets.set(attempt.id, { TOKEN: 'hunter2-very-secret', PEM: pem })
    const { log } = await ran(attempt)
    expect(log).toContain('600 me\nplain ******************* end\n')
    expect(log).not.toContain('hunter2')
    expect(log).not.toContain('MIIEvQ')
    expect(log).not.toContain(Buffer.from('user:hunter2-very-secret').toString('base64').slice(8, 28))
    expect(log.endsWith('*******************\n0\n')).toBe(true)
  })

  it.each([
    ['a path that climbs out', { name: '../../escape.txt' }],
    ['an absolute path', { name: '/etc/cidery-escape' }],
    ['a device', { name: 'null', type: 'character-device' as const, devmajor: 1, devminor: 3 }],
    ['a hard link to a file outside', { name: 'shadow', type: 'link' as const, linkname: '/etc/shadow' }],
  ])('is not started from an archive with %s', async (_what, header) => {
    await agent.start()
    const packed = pack()
    packed.entry({ name: 'ok.txt' }, 'fine')
    if ('type' in header) packed.entry(header).end(null)
    else packed.entry(header, 'bad')
    packed.finalize()
    const pieces: Uint8Array[] = []
    for await (const piece of packed) pieces.push(piece as Uint8Array)
    const source = { kind: 'upload' as const, blob: blob(zstdCompressSync(Buffer.concat(pieces))) }
    const { report } = await ran(desiredAttempt({ source, command: ['ls'] }))
    expect(report.outcome).toMatchObject({ kind: 'setupFailed', step: 'source' })
    expect(existsSync('/etc/cidery-escape')).toBe(false)
  })

  it('reads nothing through a symbolic link of its archive that the job itself could not read', async () => {
    await agent.start()
    const packed = pack()
    packed.entry({ name: 'way', type: 'symlink', linkname: '/etc' }).end(null)
    packed.entry({ name: 'way/cidery-escape' }, 'bad')
    packed.finalize()
    const pieces: Uint8Array[] = []
    for await (const piece of packed) pieces.push(piece as Uint8Array)
    const source = { kind: 'upload' as const, blob: blob(zstdCompressSync(Buffer.concat(pieces))) }
    await ran(desiredAttempt({ source, command: ['ls'], artifacts: ['way/**', 'way'] }))
    expect(existsSync('/etc/cidery-escape')).toBe(false)
    expect([...agent.controller.blobs.values()].every((bytes) => !bytes.includes('root:'))).toBe(true)
  })

  it('takes up a source whose download broke off', async () => {
    await agent.start()
    const whole = Buffer.alloc(3_000_000, 'abcdefghij')
    const digest = blob(await tarOf({ big: whole.toString() }))
    let pieces = 0
    agent.controller.fault = (call) => {
      if (call !== 'downloadPiece') return null
      pieces += 1
      return pieces % 3 === 0 && pieces < 12 ? new CideryError('UNREACHABLE', 'the connection broke') : null
    }
    const { log } = await ran(desiredAttempt({ source: { kind: 'upload', blob: digest }, command: ['sha256sum', 'big'] }))
    expect(log).toBe(`${sha256(whole)}  big\n`)
  })
})
