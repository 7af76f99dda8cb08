import { describe, expect, it } from 'vitest'
import { eventKinds, type Event } from '../../src/model/event.ts'
import { createChronicle } from '../../src/simulate/chronicle.ts'
import { eventWords } from '../../src/simulate/event-words.ts'
import { faultKinds } from '../../src/simulate/faults/registry.ts'
import { namedRandom } from '../../src/simulate/random.ts'

const job = 'job_01k7z8m0000000000000000001'
const attempt = 'att_01k7z8m0000000000000000001'
const operation = 'op_01k7z8m0000000000000000001'

function event(kind: Event['kind'], subject: string, rest: Partial<Event> = {}): Event {
  return { kind, at: 0, actor: 'system', subject, origin: null, result: 'ok', data: {}, ...rest }
}

function told(...events: readonly Event[]): readonly string[] {
  const chronicle = createChronicle(100)
  chronicle.name(job, 'build')
  chronicle.write(0, { kind: 'committed', look: () => [], events: events.map((each) => ({ ...each, epoch: 1 })) })
  return chronicle.lines().map((line) => line.slice('00:00:00.000  '.length))
}

describe('the words of a journal', () => {
  it('calls attempts and operations by what they are for, and the controller that leads by its name', () => {
    const lines = told(
      event('controller.led', 'controller', { data: { epoch: 3, holder: 'ctl_01k7z8m0000000000000000001' } }),
      event('job.assigned', `job/${job}`, { data: { attemptId: attempt, number: 2, host: 'mini-1', why: 'it is free' } }),
      event('attempt.ended', `job/${job}`, { actor: 'host:mini-1', data: { attemptId: attempt, outcome: { kind: 'exited', code: 7 } } }),
      event('operation.requested', `operation/${operation}`, { actor: 'user:operator-12', data: { kind: 'reboot', host: 'mini-1' } }),
      event('operation.ended', `operation/${operation}`, { result: 'failed', data: { state: 'ERROR', reason: 'it ended with code 1' } }),
    )
    expect(lines).toEqual([
      'controller-1  leads from now on (epoch 3)',
      'controller-1  gives build to mini-1, as its attempt 2 (it is free)',
      'mini-1        reports the end of attempt 2 of build: exit code 7',
      'operator      asks for a restart of mini-1',
      'controller-1  a restart of mini-1 ended, ERROR: it ended with code 1 (failed)',
    ])
  })

  it('tells each event in one line, of whatever kind it is, and what has no sentence with all that it holds', () => {
    const naming = { leader: 'controller-1', nameOf: (id: string) => id }
    const data = { outcome: { kind: 'cancelled', by: 'user:operator-3' }, recorded: null, notBefore: 5, deadline: null }
    for (const kind of eventKinds) {
      const [who, what] = eventWords(event(kind, 'host/mini-1', { data }), naming)
      expect([kind, who, what.length > 3, what.includes('\n')]).toEqual([kind, 'controller-1', true, false])
    }
    expect(told(event('token.revoked', 'token/ci', { result: 'refused', data: { why: 'old', by: { name: 'x' } } }))).toEqual([
      'controller    token.revoked ci (refused, why old, by {"name":"x"})',
    ])
  })

  it('has words for every kind of fault that chance draws', () => {
    const random = namedRandom(1, 'words')
    for (const kind of faultKinds) {
      const fault = kind.draw(random, 0, { target: 'mini-1', controllers: 2, jobs: [] })
      const words = fault === null ? 'chance found nothing' : kind.words(fault)
      expect([kind.kind, words.length > 10, /undefined|NaN|\[object/.test(words)]).toEqual([kind.kind, true, false])
    }
  })
})
