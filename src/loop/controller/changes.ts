import type { Change } from '../../model/world.ts'
import type { Recorder } from '../../record/commit.ts'
import { readAllChanges, readChanges } from '../../record/feed.ts'
import type { Subject, Touched } from '../../record/touched.ts'
import type { LastSeen } from './last-seen.ts'

/**
 * What was committed since the world was last advanced. A commit only leaves the names of its rows here; the rows are read when they are needed, in
 * one snapshot, so that neither the order of the notices nor one that comes twice can make the world differ from the rows.
 */
export interface ChangeFeed {
  /** False when changes may have been missed: only `all` tells everything then. */
  isWhole(): boolean
  /** Every row that deciding looks at. Forgets what was noticed before: it is part of what is read. */
  all(): Promise<readonly Change[]>
  /** What changed since the last call. When it throws, nothing is forgotten. */
  take(): Promise<readonly Change[]>
  close(): void
}

export function createChangeFeed(recorder: Recorder, lastSeen: LastSeen, noticed: () => void): ChangeFeed {
  let touched = new Map<Subject, Set<string>>()
  let whole = true
  const stop = recorder.onTouched(({ rows, everything }: Touched) => {
    merge(touched, rows)
    if (everything) whole = false
    noticed()
  })

  async function read(how: () => Promise<readonly Change[]>, before: Map<Subject, Set<string>>): Promise<readonly Change[]> {
    try {
      return [...(await how()), ...lastSeen.changes()]
    } catch (error) {
      merge(touched, before)
      throw error
    }
  }

  function swap(): Map<Subject, Set<string>> {
    const before = touched
    touched = new Map()
    return before
  }

  return {
    isWhole: () => whole,
    all() {
      whole = true
      return read(() => recorder.read(readAllChanges), swap())
    },
    take() {
      const before = swap()
      return read(async () => (before.size === 0 ? [] : recorder.read((db) => readChanges(db, before))), before)
    },
    close: stop,
  }
}

function merge(into: Map<Subject, Set<string>>, rows: Touched['rows']): void {
  for (const [of, ids] of rows) {
    const known = into.get(of) ?? new Set<string>()
    for (const id of ids) known.add(id)
    into.set(of, known)
  }
}
