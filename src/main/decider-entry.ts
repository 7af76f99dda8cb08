import { parentPort } from 'node:worker_threads'
import { createSystemClock } from '../drivers/clocks/system-clock.ts'
import { serveDecider } from '../drivers/deciders/worker-protocol.ts'
import { createLog } from '../drivers/logs/log.ts'
import { writeToStderr } from '../drivers/logs/stderr.ts'
import { decisionRules } from '../loop/controller/rules.ts'

/** The thread that decides. A step that the plan checker refused is a bug of ours: it is written where people look. */
const log = createLog({ clock: createSystemClock(), write: writeToStderr, format: 'json' })

if (parentPort !== null) {
  serveDecider(
    parentPort,
    decisionRules((fault) => log.error('a step was decided that must not be carried out; it was left out', { ...fault })),
  )
}
