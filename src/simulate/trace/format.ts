import type { TraceJob } from '../../model/trace.ts'
import type { Row } from './row.ts'

/** Why a row is no job that could be run again: `never started`. */
export interface LeftOut {
  readonly leftOut: string
}

export interface TraceFormat {
  /** Columns of which a file has at least one per entry when it is of this format. */
  readonly needs: readonly (readonly string[])[]
  /** Throws CellProblem. */
  read(row: Row): TraceJob | LeftOut
}
