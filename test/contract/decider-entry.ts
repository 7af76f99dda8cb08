// The entry of a deciding thread, as src/main has one; besides the real rules it can be told to fail, to hang and to die.
import { parentPort } from 'node:worker_threads'
import { serveDecider } from '../../src/drivers/deciders/worker-protocol.ts'
import { decisionRules } from '../../src/loop/controller/rules.ts'

const rules = decisionRules(() => {})
if (parentPort === null) throw new Error('this file is the entry of a worker')

serveDecider(parentPort, {
  ...rules,
  explain(question) {
    if (question.subject === 'test/die') process.exit(1)
    if (question.subject === 'test/hang') for (;;);
    return rules.explain(question)
  },
})
