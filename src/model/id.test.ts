import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AttemptId, formatId, HostId, idAlphabet, idKinds, JobId, Name, OperationId, SandboxId } from './id.ts'

const digits = fc.uint8Array({ minLength: 16, maxLength: 16 })
const moment = fc.integer({ min: 0, max: 32 ** 10 - 1 })

describe('an id', () => {
  it('is its kind, ten characters of time and sixteen of chance', () => {
    expect(formatId('job', 0, new Uint8Array(16))).toBe('job_00000000000000000000000000')
    expect(formatId('att', 33.9, Uint8Array.from([1, 2, 31, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63]))).toBe(
      'att_000000001112z000000000000z',
    )
    expect(formatId('host', 32 ** 10 - 1, new Uint8Array(3))).toBe('host_zzzzzzzzzz0000000000000000')
  })

  it('sorts by the time it was made', () => {
    fc.assert(
      fc.property(moment, moment, digits, (a, b, chance) => {
        const [first, second] = [formatId('job', a, chance), formatId('job', b, chance)]
        expect(Math.sign(a - b)).toBe(first < second ? -1 : first > second ? 1 : 0)
      }),
    )
  })

  it('is accepted by the schema of its kind and by no other', () => {
    const schemas = { job: JobId, att: AttemptId, host: HostId, op: OperationId, sbx: SandboxId }
    for (const [kind, schema] of Object.entries(schemas)) {
      for (const other of idKinds) expect(schema.safeParse(formatId(other, 1, new Uint8Array(16))).success).toBe(kind === other)
      const id = formatId(
        kind as 'job',
        1_700_000_000_000,
        Uint8Array.from({ length: 16 }, (_, index) => index + 16),
      )
      expect(schema.safeParse(id).success).toBe(true)
      for (const wrong of [
        `${id}0`,
        id.slice(0, -1),
        `x${id}`,
        id.toUpperCase(),
        `${id.slice(0, -1)}i`,
        `${id.slice(0, -1)}l`,
        `${id.slice(0, -1)}u`,
        `${id.slice(0, -1)}-`,
        `${id}\n`,
      ]) {
        expect([wrong, schema.safeParse(wrong).success]).toEqual([wrong, false])
      }
    }
  })

  it('is written in an alphabet that has no two characters that look alike', () => {
    expect(idAlphabet).toBe('0123456789abcdefghjkmnpqrstvwxyz')
    expect(idKinds).toEqual(['job', 'att', 'host', 'op', 'sbx', 'usr', 'tok', 'enr', 'ses', 'str', 'ctl', 'upl', 'bld'])
  })
})

describe('a name', () => {
  it.each(['a', '7', 'mini-1', 'a.b_c-d', 'a'.repeat(63), '0-0'])('may be %s', (name) => {
    expect(Name.safeParse(name).success).toBe(true)
  })

  it.each(['', '-a', 'a-', '.a', 'a.', '_', 'A', 'a b', 'a/b', 'ä', 'a'.repeat(64), ' a', 'a\n'])(
    'may not be %j, and says what may',
    (name) => {
      expect(Name.safeParse(name).error?.issues[0]?.message).toBe(
        'use 1–63 lower-case letters, digits, dots, dashes or underscores, starting and ending with a letter or digit',
      )
    },
  )
})
