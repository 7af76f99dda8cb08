import { spawn } from 'node:child_process'
import { CideryError } from '../../model/errors.ts'
import { findProgram, helperEnvironment, program } from './commands.ts'

const queues = new Map<string, Promise<unknown>>()

/**
 * Runs `work` while no other process of this host is inside a lock on the same path. The lock belongs to a child that lives as long
 * as its input is open: it is free as soon as this process is gone, and nothing inherits it. Waits up to 60 s, then ENGINE_FAILED.
 */
export async function underLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const before = queues.get(path) ?? Promise.resolve()
  const turn = before.then(() => holdAndWork(path, work))
  queues.set(
    path,
    // Whoever waits behind a failed turn gets a turn of its own.
    turn.catch(() => undefined),
  )
  return turn
}

async function holdAndWork<T>(path: string, work: () => Promise<T>): Promise<T> {
  const release = await hold(path)
  try {
    return await work()
  } finally {
    await release()
  }
}

function lockCommand(path: string): readonly [string, ...string[]] {
  const keep = ['/bin/sh', '-c', 'echo locked; exec cat']
  if (findProgram('flock') !== null) return [program('flock'), '-w', '60', path, ...keep]
  return [program('lockf'), '-k', '-t', '60', path, ...keep]
}

function hold(path: string): Promise<() => Promise<void>> {
  const [name, ...args] = lockCommand(path)
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { env: helperEnvironment, cwd: '/', stdio: ['pipe', 'pipe', 'ignore'] })
    const closed = new Promise<void>((done) => {
      child.once('close', () => done())
      child.once('error', () => done())
    })
    let held = false
    child.stdin.on('error', () => undefined)
    child.stdout.once('data', () => {
      held = true
      resolve(() => {
        child.stdin.end()
        return closed
      })
    })
    void closed.then(() => {
      if (!held)
        reject(
          new CideryError('ENGINE_FAILED', `the lock ${path} could not be taken within 60 s`, {
            hint: 'another agent may hang; see who has the file open',
          }),
        )
    })
  })
}
