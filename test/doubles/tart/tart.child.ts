/** A double of Tart for Linux: docs in README.md beside it. */
import { writeSync } from 'node:fs'
import { readCommandLine, refusalOf, Refused, type Parsed } from './command-line.ts'
import { exec } from './exec.ts'
import { RuntimeFailure } from './failures.ts'
import { faultsOf, suffer } from './faults.ts'
import { collectTmp, prepareHome } from './home.ts'
import { clone, create, exportVm, fqn, remove, rename, set, stop, suspend } from './local-commands.ts'
import { get, ip, list } from './looking.ts'
import { prune } from './prune.ts'
import { pull } from './pull.ts'
import { push } from './push.ts'
import { beginRun, continueRun } from './run.ts'

type Carry = (parsed: Parsed) => number | void | Promise<number | void>

/** Commands that a driver does not use are there with their usage, and say that they are not made. */
function notMade(parsed: Parsed): never {
  throw new RuntimeFailure(`the double of Tart does not ${parsed.command}`)
}

const carriers: Readonly<Record<string, Carry>> = {
  create,
  clone,
  set,
  get,
  list,
  ip,
  exec,
  rename,
  stop,
  suspend,
  delete: remove,
  prune,
  pull,
  fqn,
  export: exportVm,
  run: beginRun,
  push,
  import: notMade,
  login: notMade,
  logout: notMade,
}

/** Which machine a fault can name for a command. */
function subjectOf({ command, words }: Parsed): string {
  return (command === 'clone' ? words[1] : words[0]) ?? ''
}

async function carryOut(given: readonly string[], isLocked: boolean): Promise<number> {
  const parsed = readCommandLine(given)
  prepareHome()
  if (!['pull', 'clone'].includes(parsed.command)) collectTmp()
  try {
    if (isLocked) return await continueRun(parsed)
    if (parsed.command !== 'run') await suffer(faultsOf(parsed.command, subjectOf(parsed)))
    return (await carriers[parsed.command]?.(parsed)) ?? 0
  } catch (error) {
    throw refusalOf(parsed.command, error)
  }
}

/** Foundation's file handles do not return errors, they crash (tart#989). */
function dieOfFullDisk(): never {
  writeSync(
    2,
    "*** Terminating app due to uncaught exception 'NSFileHandleOperationException', reason: '*** -[NSConcreteFileHandle writeData:]: No space left on device'\n",
  )
  process.kill(process.pid, 'SIGKILL')
  throw new Error('unreachable')
}

async function main(): Promise<number> {
  const [first, ...rest] = process.argv.slice(2)
  try {
    return await (first === '--locked' ? carryOut(rest, true) : carryOut(process.argv.slice(2), false))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return dieOfFullDisk()
    if (!(error instanceof RuntimeFailure)) throw error
    if (error instanceof Refused && error.toStdout) console.log(error.message)
    else if (error.message !== '') console.error(error.message)
    return error.exitCode
  }
}

process.exitCode = await main()
