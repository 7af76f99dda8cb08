// A process that takes a lock when told so, for the tests of the lock: `node lock.child.ts PATH [--child] [--busy MS]`.
// Lines in: `take`, `release`, `end`. Lines out: `ready`, `held`, `refused <message>`, `released`, `child <pid>`.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { createKernelLock } from '../../src/drivers/locks/kernel-lock.ts'
import { CideryError } from '../../src/model/errors.ts'
import type { HeldLock } from '../../src/ports/lock.ts'

const [path = '', ...words] = process.argv.slice(2)
const busy = words.indexOf('--busy')
const lock = createKernelLock(busy === -1 ? {} : { busyTimeoutMs: Number(words[busy + 1]) })
let held: HeldLock | undefined

async function take(): Promise<void> {
  try {
    held = await lock.acquire(path, 'agent')
    if (words.includes('--child')) console.log(`child ${String(spawn('sleep', ['60'], { stdio: 'inherit' }).pid)}`)
    console.log('held')
  } catch (error) {
    console.log(`refused ${error instanceof CideryError ? `${error.code} ${error.message}` : String(error)}`)
    process.exitCode = 3
    if (words.includes('--start')) process.exit()
  }
}

console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'take') await take()
  else if (line === 'release') {
    await held?.release()
    held = undefined
    console.log('released')
  } else break
}
// Also when whoever started it went away.
process.exit()
