import { describe, expect, it } from 'vitest'
import { inLife, mortalPort, mortalTimers, newLife } from '../../src/simulate/life.ts'
import { virtualTime } from '../../src/simulate/virtual-time.ts'
import { turn } from './turn.ts'

interface Port {
  readonly name: string
  write(value: number): Promise<number>
  fail(): Promise<void>
}

function portOf(written: number[]): Port {
  return {
    name: 'a port',
    async write(value) {
      written.push(value)
      return value
    },
    fail: () => Promise.reject(new Error('refused')),
  }
}

/** What came of a promise after a turn: its value, its error, or nothing. */
async function fate(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = 'nothing'
  promise.then(
    (value) => (result = value),
    (error: Error) => (result = error.message),
  )
  await turn()
  return result
}

describe('the life of a process', () => {
  it('ends before a call: it has no effect, and nobody hears of it', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    life.endAtCall(2, 'before')
    expect(await fate(port.write(1))).toBe(1)
    expect(await fate(port.write(2))).toBe('nothing')
    expect(await fate(port.write(3))).toBe('nothing')
    expect([written, life.alive]).toEqual([[1], false])
  })

  it('ends after a call: it has its effect, and nobody hears of it', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    life.endAtCall(1, 'after')
    expect(await fate(port.write(1))).toBe('nothing')
    expect(await fate(port.write(2))).toBe('nothing')
    expect([written, life.alive]).toEqual([[1], false])
  })

  it('passes errors on while it lives, and none once it is dead', async () => {
    const life = newLife()
    const port = mortalPort(portOf([]), life)
    expect(port.name).toBe('a port')
    expect(await fate(port.fail())).toBe('refused')
    const late = inLife(life, async () => {
      await turn()
      throw new Error('too late')
    })
    life.end()
    await turn()
    expect(await fate(late)).toBe('nothing')
  })

  it('says when it is over, once', async () => {
    const life = newLife()
    expect(await fate(life.died.then(() => 'over'))).toBe('nothing')
    life.end()
    life.end()
    expect(await fate(life.died.then(() => 'over'))).toBe('over')
  })

  it('while it is frozen no call goes out and no answer is heard; then all of it', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    const answer = Promise.withResolvers<string>()
    const before = inLife(life, () => answer.promise)
    await turn()
    life.freeze()
    answer.resolve('an answer')
    const during = port.write(1)
    expect([await fate(before), await fate(during), written, life.frozen]).toEqual(['nothing', 'nothing', [], true])
    life.thaw()
    expect([await fate(before), await fate(during), written, life.frozen]).toEqual(['an answer', 1, [1], false])
  })

  it('that is killed while it is frozen does nothing more when it thaws', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    life.freeze()
    const call = port.write(1)
    life.end()
    life.thaw()
    expect([await fate(call), written]).toEqual(['nothing', []])
  })

  it('ends before a statement, which throws in place of being carried out', () => {
    const life = newLife()
    life.endAtStatement(3)
    life.statement('update')
    life.statement('update')
    expect(() => life.statement('update')).toThrow('the process died')
    expect(life.alive).toBe(false)
    expect(() => life.statement('update')).toThrow('the process died')
  })

  it('has timers that die with it, and fire late when it was frozen', async () => {
    const time = virtualTime({ turn })
    const life = newLife()
    const timers = mortalTimers(time.timers, life)
    const fired: (readonly [string, number])[] = []
    timers.after(10, () => fired.push(['in time', time.elapsed()]))
    timers.after(30, () => fired.push(['late', time.elapsed()]))
    void timers.sleep(40).then(() => fired.push(['slept', time.elapsed()]))
    timers.after(80, () => fired.push(['never', time.elapsed()]))
    time.timers.after(20, () => life.freeze())
    time.timers.after(50, () => life.thaw())
    time.timers.after(70, () => life.end())
    await time.runTo(100)
    expect(fired).toEqual([
      ['in time', 10],
      ['late', 50],
      ['slept', 50],
    ])
  })
})

describe('a death that is aimed', () => {
  it('comes after the nth insert into a table, before the statement that follows', () => {
    const life = newLife()
    life.endAtStatement(2, 'attempts')
    for (const sql of ['insert into "events" …', 'insert into "attempts" …', 'update "attempts" …', 'insert into "attempts" …'])
      life.statement(sql)
    expect(life.alive).toBe(true)
    expect(() => life.statement('commit')).toThrow('the process died')
  })

  it('comes at the nth call of a name only', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    life.endAtCall(1, 'before', 'fail')
    expect(await fate(port.write(1))).toBe(1)
    expect(await fate(port.fail())).toBe('nothing')
    expect([written, life.alive]).toEqual([[1], false])
  })

  it('does not come when it was called off', async () => {
    const [life, written] = [newLife(), [] as number[]]
    const port = mortalPort(portOf(written), life)
    life.endAtCall(1, 'before')
    life.endAtStatement(1)
    life.spare()
    life.statement('update')
    expect([await fate(port.write(1)), life.alive]).toEqual([1, true])
  })
})
