import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A process of a test that is spoken to by lines. */
export interface LineProcess {
  readonly child: ChildProcess
  readonly pid: number
  /** All lines so far. */
  readonly lines: readonly string[]
  say(line: string): void
  /** The next line from here on that begins so; throws when the process ends first or it does not come in time. */
  next(start: string, limitMs?: number): Promise<string>
  /** Exit code or signal. */
  readonly ended: Promise<number | string>
  kill(): Promise<void>
}

/** Starts a TypeScript file of test/store with the Node of this process; kill it, or close its input, before the test ends. */
export function startLineProcess(file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): LineProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const lines: string[] = []
  const waiting = new Set<(line: string | null) => void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    for (const look of waiting) look(line)
  })
  child.stdin.on('error', () => {
    // It ended before it read; `ended` tells.
  })
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(code ?? signal ?? 'unknown')
      for (const look of waiting) look(null)
    })
  })
  let read = 0

  function next(start: string, limitMs = 30_000): Promise<string> {
    for (; read < lines.length; read += 1) {
      if (lines[read]?.startsWith(start)) {
        read += 1
        return Promise.resolve(lines[read - 1] ?? '')
      }
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(`did not say "${start}" within ${limitMs} ms`), limitMs)
      function fail(what: string): void {
        done()
        reject(new Error(`process ${child.pid ?? '?'} ${what}; it said: ${lines.slice(-5).join(' | ')}`))
      }
      function done(): void {
        clearTimeout(timer)
        waiting.delete(look)
        read = lines.length
      }
      function look(line: string | null): void {
        if (line === null) fail(`ended before it said "${start}"`)
        else if (line.startsWith(start)) {
          done()
          resolve(line)
        }
      }
      waiting.add(look)
    })
  }

  return {
    child,
    pid: child.pid ?? 0,
    lines,
    say: (line) => void child.stdin.write(`${line}\n`),
    next,
    ended,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
