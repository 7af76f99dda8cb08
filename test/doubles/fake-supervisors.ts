import type { ExitRecord, SupervisedRun, Supervision, Supervisors } from '../../src/ports/supervisors.ts'
import type { Clock, Timers } from '../../src/ports/time.ts'

/** What a supervised command does: its log grows to `log` over `runsMs`, then it ends. */
export interface Program {
  readonly runsMs: number
  readonly log?: string
  readonly code?: number
  readonly signal?: number
  /** Ignores TERM, so that a cancel takes the whole grace. */
  readonly stubborn?: boolean
}

interface Held {
  readonly run: SupervisedRun
  readonly program: Program
  readonly startedAt: number
  readonly startedSteady: number
  endsSteady: number
  exit: Pick<ExitRecord, 'code' | 'signal' | 'cause'>
  dead: string | null
}

export interface FakeSupervisors extends Supervisors {
  readonly runs: readonly SupervisedRun[]
  /** The supervisor dies without an exit record. */
  kill(id: string, reason: string): void
}

const pollMs = 50

/** Supervisors in memory: they outlive the agent. Which program a run is, a test says by its words. */
export function fakeSupervisors(
  time: { readonly clock: Clock; readonly timers: Timers },
  programOf: (run: SupervisedRun) => Program,
): FakeSupervisors {
  const held = new Map<string, Held>()
  const runs: SupervisedRun[] = []

  function logOf(entry: Held): Buffer {
    const whole = Buffer.from(entry.program.log ?? '')
    const { runsMs } = entry.program
    const ran = Math.min(time.clock.steady(), entry.endsSteady) - entry.startedSteady
    return whole.subarray(0, runsMs === 0 ? whole.length : Math.floor((whole.length * Math.min(ran, runsMs)) / runsMs))
  }

  function look(id: string): Supervision {
    const entry = held.get(id)
    if (entry === undefined) return { state: 'none' }
    if (entry.dead !== null) return { state: 'dead', reason: entry.dead }
    if (time.clock.steady() < entry.endsSteady) return { state: 'running', pid: 4242, startedAt: entry.startedAt }
    const logBytes = logOf(entry).length
    const endedAt = entry.startedAt + entry.endsSteady - entry.startedSteady
    return { state: 'ended', exit: { ...entry.exit, message: '', startedAt: entry.startedAt, endedAt, logBytes, logCut: false } }
  }

  return {
    runs,
    kill(id, reason) {
      const entry = held.get(id)
      if (entry !== undefined) entry.dead = reason
    },
    start(run) {
      if (held.has(run.id)) return Promise.resolve()
      const program = programOf(run)
      const startedSteady = time.clock.steady()
      const timedOut = program.runsMs > run.timeLimitMs
      const exit = timedOut
        ? { code: null, signal: 15, cause: 'timedOut' as const }
        : { code: program.signal === undefined ? (program.code ?? 0) : null, signal: program.signal ?? null, cause: 'exited' as const }
      const endsSteady = startedSteady + Math.min(program.runsMs, run.timeLimitMs)
      held.set(run.id, { run, program, startedAt: time.clock.now(), startedSteady, endsSteady, exit, dead: null })
      runs.push(run)
      return Promise.resolve()
    },
    inspect: (id) => Promise.resolve(look(id)),
    cancel(id) {
      const entry = held.get(id)
      if (entry === undefined || look(id).state !== 'running') return Promise.resolve()
      entry.endsSteady = Math.min(entry.endsSteady, time.clock.steady() + (entry.program.stubborn === true ? entry.run.graceMs : 0))
      entry.exit = { code: null, signal: entry.program.stubborn === true ? 9 : 15, cause: 'cancelled' }
      return Promise.resolve()
    },
    async wait(id, signal) {
      for (;;) {
        const seen = look(id)
        if (seen.state !== 'running' || signal.aborted) return seen
        await time.timers.sleep(pollMs, signal).catch(() => {
          // Aborted: the state as it is now is given.
        })
      }
    },
    readLog(id, offset, limit) {
      const entry = held.get(id)
      return Promise.resolve(entry === undefined ? new Uint8Array() : logOf(entry).subarray(offset, offset + limit))
    },
    logLength(id) {
      const entry = held.get(id)
      return Promise.resolve(entry === undefined ? 0 : logOf(entry).length)
    },
    async waitForLog(id, beyond, signal) {
      for (let entry = held.get(id); entry !== undefined && look(id).state === 'running'; entry = held.get(id)) {
        if (signal.aborted || logOf(entry).length > beyond) return
        await time.timers.sleep(pollMs, signal).catch(() => {
          // Aborted: seen above.
        })
      }
    },
    programs: () => Promise.resolve([...held.keys()].filter((id) => look(id).state === 'running').map(() => '/fake/supervisor.ts')),
    list: () => Promise.resolve([...held.keys()]),
    remove(id) {
      held.delete(id)
      return Promise.resolve()
    },
  }
}
