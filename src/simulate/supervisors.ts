import type { ExitRecord, SupervisedRun, Supervision, Supervisors } from '../ports/supervisors.ts'
import type { Clock, Timer, Timers } from '../ports/time.ts'
import type { RunEnd, Tell } from './happening.ts'

/** What a supervised command does: its log grows to `log` over `runsMs`, then it ends. */
export interface Program {
  readonly runsMs: number
  readonly log: string
  readonly code: number
  /** Ignores TERM, so that a cancel takes the whole grace. */
  readonly stubborn: boolean
}

interface Held {
  readonly run: SupervisedRun
  readonly program: Program
  readonly startedAt: number
  readonly startedSteady: number
  timer: Timer | null
  end: (RunEnd & { readonly at: number; readonly ranMs: number }) | null
  dead: string | null
  readonly waiting: Set<() => void>
}

export interface SimulatedSupervisors extends Supervisors {
  /** Attempts whose command runs now. */
  alive(): readonly string[]
  /** The sandbox of a run is gone: its command ends as one does whose connection broke. */
  sandboxDied(id: string): void
  /** The machine stopped: nothing runs any more, and only exit records that were written count. */
  machineDown(): void
  /** The supervisor of a run dies without an exit record, and its command with it. */
  kill(id: string): void
}

/** What ssh and its like exit with when the other side went away. */
const connectionLost = 255

const logBursts = 5

/** Supervisors of one machine: they outlive its agent. Which program a run is, its words say. */
export function simulatedSupervisors(
  time: { readonly clock: Clock; readonly timers: Timers },
  options: { readonly host: string; readonly tell: Tell; readonly programOf: (words: readonly string[]) => Program },
): SimulatedSupervisors {
  const held = new Map<string, Held>()

  function logOf(entry: Held): Buffer {
    const whole = Buffer.from(entry.program.log)
    const { runsMs } = entry.program
    const ran = entry.end?.ranMs ?? time.clock.steady() - entry.startedSteady
    return runsMs === 0 ? whole : whole.subarray(0, Math.floor(whole.length * grown(ran / runsMs)))
  }

  /** The log grows in a few bursts. */
  function grown(part: number): number {
    return Math.min(1, Math.floor(part * logBursts) / logBursts)
  }

  /** Resolves at the next burst of the log, at the end, or when the signal is aborted. */
  async function nextBurst(entry: Held, signal: AbortSignal): Promise<void> {
    const burstMs = entry.program.runsMs / logBursts
    const ran = time.clock.steady() - entry.startedSteady
    const control = new AbortController()
    const any = AbortSignal.any([signal, control.signal])
    // A sum of moments may come out a hair before the burst that it is at.
    const due = time.timers.sleep(Math.max(1, (Math.floor(ran / burstMs) + 1) * burstMs - ran), any).catch(() => {
      // The run was over first.
    })
    await Promise.race([due, whenOver(entry, any)])
    control.abort()
  }

  function look(id: string): Supervision {
    const entry = held.get(id)
    if (entry === undefined) return { state: 'none' }
    if (entry.dead !== null) return { state: 'dead', reason: entry.dead }
    if (entry.end === null) return { state: 'running', pid: 4242, startedAt: entry.startedAt }
    const { code, signal, cause, at } = entry.end
    const exit: ExitRecord = {
      code,
      signal,
      cause: cause === 'lost' ? 'exited' : cause,
      message: '',
      startedAt: entry.startedAt,
      endedAt: at,
      logBytes: logOf(entry).length,
      logCut: false,
    }
    return { state: 'ended', exit }
  }

  function tellStart({ id, launch }: SupervisedRun): void {
    const { host } = options
    const job = launch.env['CIDERY_JOB_ID']
    const [, sandbox = id] = launch.argv
    if (job === undefined) options.tell({ kind: 'commandStarted', host, operation: id })
    else options.tell({ kind: 'runStarted', host, attempt: id, sandbox, job })
  }

  function finish(entry: Held, how: RunEnd): void {
    if (entry.end !== null || entry.dead !== null) return
    entry.timer?.cancel()
    // What ended by itself wrote its whole log, whatever is lost in the sums of moments.
    const ranMs = how.cause === 'exited' ? entry.program.runsMs : time.clock.steady() - entry.startedSteady
    entry.end = { ...how, at: time.clock.now(), ranMs }
    options.tell({ kind: 'runEnded', host: options.host, attempt: entry.run.id, how })
    for (const wake of entry.waiting) wake()
  }

  function die(entry: Held, reason: string): void {
    if (entry.end !== null || entry.dead !== null) return
    entry.timer?.cancel()
    entry.dead = reason
    options.tell({ kind: 'runEnded', host: options.host, attempt: entry.run.id, how: { code: null, signal: null, cause: 'lost' } })
    for (const wake of entry.waiting) wake()
  }

  function whenOver(entry: Held, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      function leave(): void {
        entry.waiting.delete(leave)
        signal.removeEventListener('abort', leave)
        resolve()
      }
      entry.waiting.add(leave)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  return {
    alive: () => [...held].filter(([, { end, dead }]) => end === null && dead === null).map(([id]) => id),
    sandboxDied(id) {
      const entry = held.get(id)
      if (entry !== undefined) finish(entry, { code: connectionLost, signal: null, cause: 'lost' })
    },
    machineDown() {
      for (const entry of held.values()) die(entry, 'the machine was started anew')
    },
    kill(id) {
      const entry = held.get(id)
      if (entry !== undefined) die(entry, 'the supervisor is not there any more')
    },
    async start(run) {
      if (held.has(run.id)) return
      const program = options.programOf(run.launch.argv)
      const entry: Held = {
        run,
        program,
        startedAt: time.clock.now(),
        startedSteady: time.clock.steady(),
        timer: null,
        end: null,
        dead: null,
        waiting: new Set(),
      }
      const timedOut = program.runsMs > run.timeLimitMs
      entry.timer = time.timers.after(Math.min(program.runsMs, run.timeLimitMs), () =>
        finish(entry, timedOut ? { code: null, signal: 15, cause: 'timedOut' } : { code: program.code, signal: null, cause: 'exited' }),
      )
      held.set(run.id, entry)
      tellStart(run)
    },
    inspect: async (id) => look(id),
    async cancel(id) {
      const entry = held.get(id)
      if (entry === undefined || look(id).state !== 'running') return
      const { stubborn } = entry.program
      const how: RunEnd = { code: null, signal: stubborn ? 9 : 15, cause: 'cancelled' }
      if (!stubborn) return finish(entry, how)
      entry.timer?.cancel()
      entry.timer = time.timers.after(entry.run.graceMs, () => finish(entry, how))
    },
    async wait(id, signal) {
      const entry = held.get(id)
      if (entry !== undefined && look(id).state === 'running' && !signal.aborted) await whenOver(entry, signal)
      return look(id)
    },
    async readLog(id, offset, limit) {
      const entry = held.get(id)
      return entry === undefined ? new Uint8Array() : logOf(entry).subarray(offset, offset + limit)
    },
    async logLength(id) {
      const entry = held.get(id)
      return entry === undefined ? 0 : logOf(entry).length
    },
    async waitForLog(id, beyond, signal) {
      const entry = held.get(id)
      if (entry === undefined) return
      while (look(id).state === 'running' && logOf(entry).length <= beyond && !signal.aborted) await nextBurst(entry, signal)
    },
    programs: async () => [...held.keys()].filter((id) => look(id).state === 'running').map(() => '/simulated/supervisor'),
    list: async () => [...held.keys()],
    async remove(id) {
      const entry = held.get(id)
      if (entry !== undefined) die(entry, 'it was removed')
      held.delete(id)
    },
  }
}
