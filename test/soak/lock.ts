// 50 processes start at the same moment on one lock, again and again: `node test/soak/lock.ts --from N --count N`.
// Each round is of new processes in a new directory; red when not exactly one of them survives.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startLineProcess } from '../store/line-process.ts'

const { values } = parseArgs({ options: { from: { type: 'string', default: '0' }, count: { type: 'string', default: '1' } } })
const from = Number(values.from)
const starters = 50

async function playRound(): Promise<{ readonly survivors: number; readonly refused: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'cidery-lock-soak-'))
  const processes = Array.from({ length: starters }, () => startLineProcess('lock.child.ts', [join(directory, 'agent.lock'), '--start']))
  try {
    for (const process of processes) process.say('take')
    const answers = await Promise.all(processes.map((process) => Promise.race([process.next('held', 120_000), process.ended])))
    return { survivors: answers.filter((answer) => answer === 'held').length, refused: answers.filter((answer) => answer === 3).length }
  } finally {
    await Promise.all(processes.map((process) => process.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
}

for (let round = from; round < from + Number(values.count); round += 1) {
  const { survivors, refused } = await playRound()
  console.log(`round ${round}: ${survivors} survived, ${refused} were refused`)
  if (survivors !== 1 || refused !== starters - 1) process.exit(1)
}
