import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** A program that a benchmark compares with, talked to by lines. */
export interface Program {
  readonly pid: number
  /** The next line that it prints; rejects when it ends first or says nothing for five minutes. */
  line(): Promise<string>
  say(line: string): void
  stop(): Promise<void>
}

const silenceMs = 300_000

export function startProgram(
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Program {
  const child: ChildProcess = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
  })
  const lines: string[] = []
  const waiting: (() => void)[] = []
  let over = false
  const wake = (): void => waiting.shift()?.()
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    lines.push(line)
    wake()
  })
  child.once('exit', () => {
    over = true
    wake()
  })
  child.once('error', () => {
    over = true
    wake()
  })
  child.stdin?.on('error', () => {
    // It ended; `line` says so.
  })
  return {
    pid: child.pid ?? 0,
    async line() {
      const deadline = Date.now() + silenceMs
      for (;;) {
        const line = lines.shift()
        if (line !== undefined) return line
        if (over || Date.now() > deadline) throw new Error(`${argv.join(' ')} ended or fell silent (exit code ${String(child.exitCode)})`)
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, silenceMs)
          waiting.push(() => {
            clearTimeout(timer)
            resolve()
          })
        })
      }
    },
    say: (line) => void child.stdin?.write(`${line}\n`),
    async stop() {
      if (over) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** Runs a command and gives when its first byte came, as `performance.now()`; rejects when it fails. */
export async function firstByte(argv: readonly string[]): Promise<number> {
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  let at = performance.now()
  child.stdout.once('data', () => (at = performance.now()))
  const [code] = (await ended) as [number | null]
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${String(code)}`)
  return at
}

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  return Number(spawnSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).stdout) / 1024
}

/** Processor time that a process and its threads have used, in ms. */
export function cpuMs(pid: number): number {
  // Linux: in hundredths of a second, after the name, which may hold anything up to its last parenthesis.
  if (process.platform === 'linux') {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10
  }
  const clock = spawnSync('ps', ['-o', 'time=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  return clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0) * 1000
}
