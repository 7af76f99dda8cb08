import type { BuildPhase, PhaseProgress } from '../../../model/image/phase.ts'
import type { Clock } from '../../../ports/time.ts'

/** How far a build is, for whoever watches. */
export interface BuildProgress {
  phases(): readonly PhaseProgress[]
  /** Another try begins: what follows is its. */
  nextAttempt(): void
  /** Ends the phase that is under way and begins another. */
  begin(phase: BuildPhase, more?: { readonly total?: number; readonly unit?: PhaseProgress['unit'] }): void
  /** What the phase is at now. */
  at(what: string): void
  /** One step or check more is done. */
  stepDone(): void
  bytes(done: number, total: number | null): void
  /** Ends the phase that is under way. */
  end(): void
}

/** Keeps the phases of one build; tells of every change. */
export function buildProgress(clock: Pick<Clock, 'now'>, onChange: (phases: readonly PhaseProgress[]) => void): BuildProgress {
  let ended: readonly PhaseProgress[] = []
  let current: PhaseProgress | null = null
  let attempt = 1

  const all = (): readonly PhaseProgress[] => (current === null ? ended : [...ended, current])

  function change(part: Partial<PhaseProgress>): void {
    if (current === null) return
    current = { ...current, ...part }
    onChange(all())
  }

  function end(): void {
    if (current === null) return
    ended = [...ended, { ...current, endedAt: clock.now() }]
    current = null
  }

  return {
    phases: all,
    nextAttempt() {
      end()
      attempt += 1
    },
    begin(phase, { total, unit = 'steps' } = {}) {
      end()
      current = { phase, attempt, startedAt: clock.now(), endedAt: null, at: '', done: 0, total: total ?? null, unit }
      onChange(all())
    },
    at: (what) => change({ at: what.slice(0, 300) }),
    stepDone: () => change({ done: (current?.done ?? 0) + 1 }),
    bytes: (done, total) => change({ done, total, unit: 'bytes' }),
    end() {
      end()
      onChange(all())
    },
  }
}
