import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Seconds between two starts are 10 in the service files; a test need not wait so long. */
const throttleMs = 300

/**
 * An agent as systemd (Restart=always, KillMode=process) and launchd (KeepAlive, AbandonProcessGroup) keep it: whenever its process ends it is started again by
 * the path of the service file, and only that process is ever signalled: what it started stays.
 */
export class KeptAgent {
  readonly #stateDir: string
  #child: ChildProcess | undefined
  #kept = true
  #keeping: Promise<void> = Promise.resolve()
  output = ''
  starts = 0

  constructor(stateDir: string) {
    this.#stateDir = stateDir
    this.#keeping = this.#keep()
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** The release on trial: the child of the agent that is an agent as well. */
  get trialPid(): number | null {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
        if (parent === this.pid && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('\0agent\0run\0')) return Number(name)
      } catch {
        // It ended since the listing.
      }
    }
    return null
  }

  kill(pid = this.pid): void {
    process.kill(pid, 'SIGKILL')
  }

  async #keep(): Promise<void> {
    while (this.#kept) {
      this.starts += 1
      const bin = join(this.#stateDir, 'current', 'bin')
      const words = ['agent', 'run', '--state', this.#stateDir, '--wait-for-lock', '60s']
      const child = spawn(join(bin, 'node'), [join(bin, 'cidery.js'), ...words], {
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: this.#stateDir },
        stdio: ['ignore', 'pipe', 'pipe'],
        cwd: '/',
      })
      this.#child = child
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (this.output += piece.toString('utf8')))
      await new Promise<void>((resolve) => {
        child.once('error', () => resolve())
        child.once('exit', (code, signal) => {
          this.output += `[ended with ${code ?? signal ?? 'nothing'}]\n`
          resolve()
        })
      })
      await pause(throttleMs)
    }
  }

  async stop(): Promise<void> {
    this.#kept = false
    this.#child?.kill('SIGTERM')
    await this.#keeping
  }
}
