import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CideryError } from '../../model/errors.ts'
import { createLog, type LogOptions } from './log.ts'
import { createRedactor } from './redactor.ts'
import { createRotatingFile } from './rotating-file.ts'

function logInto(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const log = createLog({
    clock: { now: () => 1_790_000_000_000, steady: () => 0 },
    write: (line) => lines.push(line),
    format: 'text',
    ...options,
  })
  return { log, lines }
}

describe('a log', () => {
  it('writes a line for people', () => {
    const { log, lines } = logInto()
    log.warn('the host is silent', { host: 'mini-1', silentMs: 90_000, reason: 'no sync', empty: '' })
    expect(lines).toEqual(['2026-09-21T14:13:20.000Z WARN  the host is silent host=mini-1 silentMs=90000 reason="no sync" empty=""\n'])
  })

  it('writes a line for programs, which no fact can disguise', () => {
    const { log, lines } = logInto({ format: 'json' })
    log.error('failed', { message: 'not mine', level: 'debug', time: 'never', a: 1 })
    expect(JSON.parse(lines[0] ?? '')).toEqual({ a: 1, time: '2026-09-21T14:13:20.000Z', level: 'error', message: 'failed' })
  })

  it('drops what is below its level', () => {
    const { log, lines } = logInto({ level: 'warn' })
    log.debug('a')
    log.info('b')
    log.warn('c')
    log.error('d')
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['WARN', 'ERROR'])
  })

  it('names an error with code, hint and each cause once', () => {
    const cause = Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' })
    const error = new CideryError('UNREACHABLE', 'the controller did not answer', { cause, hint: 'cidery doctor' })
    const { log, lines } = logInto({ format: 'json' })
    log.error('sync failed', { error })
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      error: {
        code: 'UNREACHABLE',
        message: 'the controller did not answer',
        hint: 'cidery doctor',
        cause: { code: 'ECONNREFUSED', message: 'connection refused' },
      },
    })
    expect(lines[0]?.split('connection refused')).toHaveLength(2)
  })

  it('takes anything for a fact and never throws', () => {
    const circular: Record<string, unknown> = { name: 'x' }
    circular['self'] = circular
    const looping = new Error('loop')
    looping.cause = looping
    for (const format of ['text', 'json'] as const) {
      const { log, lines } = logInto({ format })
      log.info('odd', { circular, looping, big: 10n, fn: () => 1, none: undefined, map: new Map([['a', new Set([1])]]), at: Symbol('s') })
      expect(lines).toHaveLength(1)
      expect(lines[0]).toContain('loop')
    }
  })

  it('keeps to one line, without control characters, whatever a name holds', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.constantFrom('text', 'json'),
        (message, value, format) => {
          const { log, lines } = logInto({ format: format as 'text' })
          log.info(message, { value })
          expect(lines[0]?.slice(0, -1)).not.toMatch(/[\u0000-\u001f]/)
          expect(lines[0]?.endsWith('\n')).toBe(true)
        },
      ),
    )
  })

  it('cuts what is far too long', () => {
    const { log, lines } = logInto()
    log.info('x'.repeat(100_000))
    expect(lines[0]?.length).toBeLessThan(17_000)
  })

  it('takes secrets out of everything that it writes', () => {
    const redactor = createRedactor()
    const stop = redactor.hide('hunter2"with quote')
    const { log, lines } = logInto({ redact: redactor.redact })
    log.info('a hunter2"with quote b', {
      value: 'hunter2"with quote',
      deep: { list: ['hunter2"with quote'] },
      error: new Error('has hunter2"with quote'),
    })
    expect(lines.join('')).not.toContain('hunter2')
    stop()
    log.info('hunter2"with quote')
    expect(lines.at(-1)).toContain('hunter2')
  })
})

describe('a redactor', () => {
  const redactor = createRedactor()

  it('knows credentials of cidery and passwords in URLs by their form', () => {
    expect(redactor.redact(`token cidery_tok_${'aB-_'.repeat(11)} end`)).toBe('token cidery_tok_[hidden] end')
    expect(redactor.redact(`Bearer cidery_key_${'x'.repeat(43)}`)).toBe('Bearer cidery_key_[hidden]')
    expect(redactor.redact('postgres://cidery:pa55word@db:5432/x')).toBe('postgres://cidery:[hidden]@db:5432/x')
    expect(redactor.redact('https://example.org/a:b@c')).toBe('https://example.org/a:b@c')
  })

  it('hides a value that holds another as a whole, and leaves short ones alone', () => {
    redactor.hide('abcd')
    redactor.hide('abcdefgh')
    redactor.hide('no')
    expect(redactor.redact('abcdefgh abcd no')).toBe('[hidden] [hidden] no')
  })

  it('hides a value until the last who asked for it is done', () => {
    const own = createRedactor()
    const [one, two] = [own.hide('secret'), own.hide('secret')]
    one()
    one()
    expect(own.redact('secret')).toBe('[hidden]')
    two()
    expect(own.redact('secret')).toBe('secret')
  })
})

describe('a rotating file', () => {
  it('keeps whole lines, the newest, within its bounds', () => {
    const directory = mkdtempSync(join(tmpdir(), 'cidery-log-'))
    try {
      const path = join(directory, 'deep', 'controller.log')
      const file = createRotatingFile({ path, maxBytes: 100, keep: 2 })
      for (let i = 0; i < 50; i += 1) file.write(`line ${String(i).padStart(4, '0')}\n`)
      file.close()
      expect(readdirSync(join(directory, 'deep')).sort()).toEqual(['controller.log', 'controller.log.1', 'controller.log.2'])
      const text = ['.2', '.1', ''].map((end) => readFileSync(`${path}${end}`, 'utf8')).join('')
      const numbers = text
        .trim()
        .split('\n')
        .map((line) => Number(line.slice(5)))
      expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 50 - numbers.length + i))
      for (const end of ['', '.1', '.2']) expect(statSync(`${path}${end}`).size).toBeLessThanOrEqual(100)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const again = createRotatingFile({ path, maxBytes: 100, keep: 2 })
      again.write('after a restart\n')
      again.close()
      expect(readFileSync(path, 'utf8')).toMatch(/line 0049\nafter a restart\n$|^after a restart\n$/)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
