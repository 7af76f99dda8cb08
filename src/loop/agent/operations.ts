import { carryOutOperation } from '../../act/agent/carry-out-operation.ts'
import { orAborted } from '../../act/agent/deadline.ts'
import { OperationRecord, isOver, moved, newOperationRecord } from '../../act/agent/operation.ts'
import type { OperationChange, OperationSurroundings, OperationTask } from '../../act/agent/operation.ts'
import { messageOf } from '../../act/agent/outcome.ts'
import { second, type Milliseconds } from '../../model/instant.ts'
import type { OperationState } from '../../model/operation.ts'
import type { DesiredOperation, OperationReport, SyncResponse } from '../../model/sync.ts'
import { createWakeUp } from '../wake-up.ts'

interface Held {
  record: OperationRecord
  readonly kill: AbortController
  /** On this process's steady clock. */
  startedAt: number
  sent: number
  sentAt: number
  listed: boolean
}

const repeatAfter = 5 * second
const hearWithin = 10 * second
/** An operation that could not be carried on is taken up again after this long. */
const carryOnAfter = 10 * second

/** The operations asked of this host, one at a time. */
export interface OperationBoard {
  load(): Promise<void>
  apply(desired: readonly DesiredOperation[]): Promise<void>
  acknowledge(acknowledged: SyncResponse['acknowledged']['operations']): Promise<void>
  reports(all: boolean): readonly OperationReport[]
  sent(reports: readonly OperationReport[]): void
  hasNews(): boolean
  /** Looks at the limits of what runs, and gives the turn to what waits for it. */
  checkLimits(): Promise<void>
  /** How long until `checkLimits` has something to do; `Infinity`: nothing that is known now. */
  dueIn(): Milliseconds
  /** Whether one is under way. */
  busy(): boolean
  /** Ids of all that are not forgotten. */
  ids(): readonly string[]
  settled(): Promise<void>
}

export interface OperationBoardOptions extends OperationSurroundings {
  readonly onChange: () => void
  /** The controller heard of an end: it takes a success as proved by facts that are newer. */
  readonly onEnded: () => void
}

export function operationBoard(around: OperationBoardOptions): OperationBoard {
  const { ports, stopping, bootId, instanceId } = around
  const { journal, clock, timers, log, supervisors } = ports
  const held = new Map<string, Held>()
  const running = new Set<Promise<void>>()
  const acknowledged = createWakeUp(timers)
  let writing: Promise<void> = Promise.resolve()
  stopping.addEventListener('abort', acknowledged.close, { once: true })

  async function save(entry: Held, record: OperationRecord): Promise<void> {
    // What is still under way in an agent that stopped must not write over the record of the next one.
    stopping.throwIfAborted()
    entry.record = record
    const written = writing.then(() => journal.put('operation', record.id, record))
    writing = written.catch(() => {
      // Thrown to who saved.
    })
    await written
  }

  async function move(entry: Held, state: OperationState, change: OperationChange = {}): Promise<void> {
    await save(entry, moved(entry.record, state, change))
    log.info('an operation changed', { operation: entry.record.id, kind: entry.record.request.kind, state, reason: entry.record.reason })
    around.onChange()
  }

  function start(entry: Held): void {
    const task: OperationTask = {
      record: () => entry.record,
      surroundings: around,
      move: (state, change) => move(entry, state, change),
      kill: entry.kill.signal,
      heard: () => heard(entry),
    }
    const work = orAborted(carryOut(entry, task), stopping)
      .catch((error: unknown) => {
        if (!stopping.aborted) log.error('an operation broke off', { operation: entry.record.id, error: messageOf(error) })
      })
      .finally(() => running.delete(work))
    running.add(work)
  }

  /** To its end, whatever is in the way for a while: one that stays where a full disk stopped it would keep all others of this host out. */
  async function carryOut(entry: Held, task: OperationTask): Promise<void> {
    for (let again = false; ; again = true) {
      try {
        if (again) await takeUpAgain(entry)
        if (!again || !isOver(entry.record)) await carryOutOperation(task)
        return
      } catch (error) {
        stopping.throwIfAborted()
        log.error('an operation could not be carried on; it is tried again', { operation: entry.record.id, error: messageOf(error) })
        await timers.sleep(carryOnAfter, stopping)
      }
    }
  }

  /** What is not in the journal yet is not gone on from; and nobody is surprised by what was given up while it waited. */
  async function takeUpAgain(entry: Held): Promise<void> {
    const { state } = entry.record
    const unbegun = state === 'PENDING' || state === 'VALIDATING'
    if (unbegun && !entry.listed) await move(entry, 'SKIPPED', { reason: 'nobody wants it any more' })
    else await save(entry, entry.record)
  }

  async function heard(entry: Held): Promise<void> {
    const until = clock.steady() + hearWithin
    for (let left = hearWithin; entry.record.unheard.length > 0 && left >= 1; left = until - clock.steady()) {
      await acknowledged.wait(left)
      stopping.throwIfAborted()
    }
  }

  /** What runs now; one that waits for it is BLOCKED. */
  function current(): Held | undefined {
    return [...held.values()].find((entry) => !isOver(entry.record) && entry.record.state !== 'BLOCKED')
  }

  /** Says what runs here instead; it gets its turn when that is over, unless nobody wants it any more. */
  async function block(desired: DesiredOperation, by: Held): Promise<void> {
    const { id, request, pid } = by.record
    const record = newOperationRecord(desired, clock.now(), { bootId, instanceId })
    const what = request.kind === 'exec' ? `exec: ${request.command.join(' ')}`.slice(0, 300) : request.kind
    const entry = add(record)
    await orForget(entry, async () => {
      await move(entry, 'VALIDATING')
      entry.record = { ...entry.record, rejected: { by: id, kind: request.kind, pid } }
      await move(entry, 'BLOCKED', { reason: `operation ${id} (${what}, pid ${pid ?? 'none'}) runs on this host` })
    })
  }

  /** An operation that could not be written down at all is asked for again, with the next sync. */
  async function orForget(entry: Held, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      held.delete(entry.record.id)
      throw error
    }
  }

  /** Gives the turn to one that waits, when nothing runs. */
  async function unblock(): Promise<void> {
    for (const entry of held.values()) {
      if (entry.record.state !== 'BLOCKED' || current() !== undefined) continue
      if (!entry.listed) {
        await move(entry, 'SKIPPED', { reason: 'nobody wants it any more' })
        continue
      }
      entry.startedAt = clock.steady()
      entry.record = { ...entry.record, rejected: null, startedAt: clock.now() }
      start(entry)
    }
  }

  function add(record: OperationRecord): Held {
    const startedAt = clock.steady() - Math.max(0, clock.now() - record.startedAt)
    const entry: Held = { record, kill: new AbortController(), startedAt, sent: -1, sentAt: 0, listed: true }
    held.set(record.id, entry)
    return entry
  }

  async function obey(desired: DesiredOperation): Promise<void> {
    const known = held.get(desired.id)
    if (known === undefined) {
      const busy = current()
      if (busy !== undefined) return block(desired, busy)
      const entry = add(newOperationRecord(desired, clock.now(), { bootId, instanceId }))
      await orForget(entry, () => journal.put('operation', desired.id, entry.record))
      start(entry)
      return
    }
    known.listed = true
    const { warningMs, hardMs } = desired
    if (known.record.warningMs !== warningMs || known.record.hardMs !== hardMs) await save(known, { ...known.record, warningMs, hardMs })
    if (desired.want === 'kill' && !known.record.killAsked && !isOver(known.record)) {
      await save(known, { ...known.record, killAsked: true })
      await killNow(known, 'asked to be killed')
    }
  }

  async function killNow(entry: Held, reason: string): Promise<void> {
    const { state } = entry.record
    if (state === 'BLOCKED') return move(entry, 'KILLED', { reason })
    try {
      if (state === 'EXECUTING' || state === 'RUNNING_WARNING' || state === 'TIMEOUT_PENDING') await move(entry, 'KILLING', { reason })
    } finally {
      // Also when that cannot be written, on a full disk for one: a limit is looked at once.
      entry.kill.abort(new Error(reason))
    }
  }

  function warningIn({ record, startedAt }: Held): Milliseconds {
    return record.state === 'EXECUTING' ? startedAt + record.warningMs - clock.steady() : Number.POSITIVE_INFINITY
  }

  function killIn({ record, startedAt }: Held): Milliseconds {
    const runs = record.state === 'EXECUTING' || record.state === 'RUNNING_WARNING'
    return runs ? startedAt + record.hardMs - clock.steady() : Number.POSITIVE_INFINITY
  }

  function turnIn({ record }: Held): Milliseconds {
    return record.state === 'BLOCKED' && current() === undefined ? 0 : Number.POSITIVE_INFINITY
  }

  async function forget(entry: Held): Promise<void> {
    const { id } = entry.record
    if (entry.listed || !isOver(entry.record) || entry.record.unheard.length > 0) return
    held.delete(id)
    if (entry.record.request.kind === 'exec') await supervisors.remove(id)
    await journal.remove('operation', id)
  }

  return {
    async load() {
      for (const [id, value] of await journal.list('operation')) {
        const record = OperationRecord.safeParse(value)
        if (!record.success) {
          log.error('a record of the journal cannot be read, and is dropped', { operation: id, error: record.error.message })
          await journal.remove('operation', id)
          continue
        }
        const entry = add(record.data)
        if (isOver(record.data)) continue
        if (record.data.state === 'BLOCKED') continue
        if (record.data.killAsked) entry.kill.abort(new Error('asked to be killed'))
        start(entry)
      }
    },

    async apply(desired) {
      const wanted = new Set(desired.map(({ id }) => id))
      for (const [id, entry] of held) entry.listed = wanted.has(id)
      for (const each of desired) await obey(each)
      for (const entry of held.values()) await forget(entry)
    },

    async acknowledge(heardOf) {
      for (const { id, revision } of heardOf) {
        const entry = held.get(id)
        if (entry === undefined) continue
        const unheard = entry.record.unheard.filter((report) => report.revision > revision)
        if (unheard.length !== entry.record.unheard.length) await save(entry, { ...entry.record, unheard })
        if (isOver(entry.record) && unheard.length === 0) around.onEnded()
        await forget(entry)
      }
      if (heardOf.length > 0) acknowledged.wake()
    },

    reports(all) {
      return [...held.values()].flatMap((entry) => {
        const repeat = all && clock.steady() - entry.sentAt >= repeatAfter
        return entry.record.unheard.filter(({ revision }) => repeat || revision > entry.sent)
      })
    },

    sent(reports) {
      for (const { id, revision } of reports) {
        const entry = held.get(id)
        if (entry === undefined) continue
        entry.sent = Math.max(entry.sent, revision)
        entry.sentAt = clock.steady()
      }
    },

    hasNews: () => [...held.values()].some((entry) => entry.record.unheard.some(({ revision }) => revision > entry.sent)),

    async checkLimits() {
      await unblock()
      for (const entry of held.values()) {
        if (warningIn(entry) <= 0) await move(entry, 'RUNNING_WARNING', { reason: 'runs longer than expected' })
        if (killIn(entry) <= 0) await killNow(entry, 'ran longer than its hard limit')
      }
    },

    dueIn: () => Math.min(...[...held.values()].flatMap((entry) => [warningIn(entry), killIn(entry), turnIn(entry)])),

    busy: () => current() !== undefined,
    ids: () => [...held.keys()],

    async settled() {
      await Promise.all(running)
      await writing
    },
  }
}
