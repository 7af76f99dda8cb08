import { readFileSync, writeSync } from 'node:fs'
import { runFiles } from '../drivers/supervisors/detached/run-files.ts'
import type { SupervisedRun } from '../ports/supervisors.ts'
import { supervise } from './supervise.ts'

/** Tells whoever started this, if it still listens, that the run is on record. */
function announce(): void {
  try {
    writeSync(1, 'ready\n')
  } catch {
    // The agent is gone; its successor finds the record.
  }
}

const [directory = ''] = process.argv.slice(2)
// The run comes on the input: its environment may hold secrets, which have no place in words that everybody can read.
const run = JSON.parse(readFileSync(0, 'utf8')) as SupervisedRun
await supervise(runFiles(directory), run, announce)
process.exit(0)
