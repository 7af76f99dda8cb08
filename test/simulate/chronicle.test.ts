import { expect, it } from 'vitest'
import { clock, createChronicle } from '../../src/simulate/chronicle.ts'

const job = 'job_01k5n0v8000000000000000000'
const sandbox = 'sbx_01k5n0v8000000000000000001'

it('names ids as the scenario does, and counts those that it has no name for', () => {
  const chronicle = createChronicle(10)
  chronicle.name(job, 'compile')
  chronicle.note(1000, 'client', `${job} is accepted`)
  chronicle.note(2000, 'mini-1', `lends ${sandbox}`)
  expect(chronicle.lines()).toEqual(['00:00:01.000  client        compile is accepted', '00:00:02.000  mini-1        lends sandbox-1'])
  expect([chronicle.nameOf(job), chronicle.nameOf(sandbox)]).toEqual(['compile', 'sandbox-1'])
})

it('keeps the last lines, and has all of them in its hash', () => {
  function write(count: number, first: string): readonly [string, readonly string[]] {
    const chronicle = createChronicle(3)
    chronicle.note(0, 'x', first)
    for (let line = 0; line < count; line += 1) chronicle.note(line, 'x', `line ${line}`)
    return [chronicle.hash(), chronicle.lines()]
  }
  const [hash, lines] = write(50, 'begins')
  expect(lines.map((line) => line.slice(-7))).toEqual(['line 47', 'line 48', 'line 49'])
  expect(write(50, 'begins')).toEqual([hash, lines])
  const [otherHash, otherLines] = write(50, 'began')
  expect(otherLines).toEqual(lines)
  expect(otherHash).not.toBe(hash)
})

it('gives a hash before the end, and goes on', () => {
  const chronicle = createChronicle(3)
  const empty = chronicle.hash()
  chronicle.note(0, 'x', 'something')
  expect(chronicle.hash()).not.toBe(empty)
  expect(chronicle.hash()).toBe(chronicle.hash())
})

it('tells of a check only when it comes out otherwise than the one before', () => {
  const chronicle = createChronicle(10)
  const check = { kind: 'checked', host: 'mini-1', engine: 'tart', image: 'macos-15' } as const
  for (const ok of [true, false, false, true, true]) chronicle.write(0, { ...check, ok, reason: ok ? '' : 'no room' })
  expect(chronicle.lines().map((line) => line.slice(28))).toEqual([
    'its check of macos-15 is bad: no room',
    'its check of macos-15 is good again',
  ])
})

it('tells the time since the start, also after days', () => {
  expect([clock(0), clock(3_723_004.9), clock(30 * 3_600_000)]).toEqual(['00:00:00.000', '01:02:03.004', '30:00:00.000'])
})
