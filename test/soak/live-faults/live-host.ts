import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '../../../src/drivers/engines/commands.ts'
import { startCidery, type Running } from '../../e2e/processes.ts'
import { layLine, leftOn, removeLine, type Line } from './lines.ts'
import { Machine, signalThrough } from './machine.ts'

export const tartProgram = resolve('test/doubles/tart/bin/tart')

/** What all Macs of a fleet have in common. */
export interface Macs {
  readonly folder: string
  /** Images, in the form of the double. */
  readonly registry: string
  /** A TART_HOME in which the image was pulled already. */
  readonly pulled: string
}

export function tartEnvironment(macs: Pick<Macs, 'folder' | 'registry'>, name: string): Readonly<Record<string, string>> {
  return { TART_FAKE_HOST: join(macs.folder, name, 'mac'), TART_FAKE_REGISTRY: macs.registry, TART_FAKE_NET: '192.168.64' }
}

/** How the agent of a host finds its controllers. */
export interface Way {
  readonly url: string
  readonly caFingerprint: string
}

/** So small that it is full in a moment, so large that two jobs are thought to have room on it. */
const diskMiB = 256

interface HostParts {
  readonly name: string
  readonly folder: string
  readonly line: Line
  readonly machine: Machine
  readonly way: Way
}

/** A Mac of the double with a real agent: a network and processes of its own, a small disk for the agent's state, a TART_HOME. */
export class LiveHost {
  readonly name: string
  readonly line: Line
  readonly stateDir: string
  readonly home: string
  readonly logFile: string
  readonly #folder: string
  readonly #way: Way
  readonly #machine: Machine
  #running: Running | undefined
  #wanted = false
  #ownEnds: string[] = []

  private constructor(options: HostParts) {
    this.name = options.name
    this.line = options.line
    this.#folder = join(options.folder, options.name)
    this.#way = options.way
    this.#machine = options.machine
    this.stateDir = join(this.#folder, 'agent')
    this.home = join(this.#folder, 'home')
    this.logFile = join(this.#folder, 'agent.log')
  }

  static async build(number: number, macs: Macs, way: Way): Promise<LiveHost> {
    const name = `mac-${number}`
    const stateDir = join(macs.folder, name, 'agent')
    await mkdir(stateDir, { recursive: true })
    await mkdir(join(macs.folder, name, 'mac'))
    await must(['mount', '-t', 'tmpfs', '-o', `size=${diskMiB}m,mode=0700`, 'tmpfs', stateDir])
    const line = await layLine(number)
    const host = new LiveHost({ name, way, line, machine: await Machine.build(line), folder: macs.folder })
    // The holes of its disk stay holes: a whole gigabyte each would fill the machine.
    await must(['cp', '--archive', '--sparse=always', macs.pulled, host.home])
    const tart = {
      slots: 2,
      program: tartProgram,
      home: host.home,
      images: { 'macos-15': 'ghcr.io/cidery/macos:15' },
      env: tartEnvironment(macs, name),
    }
    // No accounts: this host is for machines.
    const user = { prefix: `l${number.toString(36)}x-`, isolation: 'directory', slots: 1 }
    await writeFile(join(host.stateDir, 'agent.yaml'), JSON.stringify({ engines: { user, tart }, health: null }), { mode: 0o600 })
    return host
  }

  /** Starts the agent, as a service manager would: should it end by itself, it is started again. The token is for the first start. */
  start(token: string | null = null): void {
    const { url, caFingerprint } = this.#way
    this.#wanted = true
    const words = ['agent', 'run', '--url', url, '--ca-sha256', caFingerprint, '--state', this.stateDir, '--wait-for-lock', '20s']
    const running = startCidery(words, {
      env: { CIDERY_AGENT_STATE: this.stateDir, ...(token === null ? {} : { CIDERY_ENROL_TOKEN: token }) },
      logFile: this.logFile,
      through: this.#machine.through,
    })
    this.#running = running
    running.child.once('exit', (code, signal) => {
      if (!this.#wanted || this.#running !== running) return
      this.#ownEnds.push(`${this.name} ended by itself with ${code ?? signal ?? 'nothing'}`)
      setTimeout(() => {
        if (this.#wanted && this.#running === running) this.start(token)
      }, 1000)
    })
  }

  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Gracefully, if that takes no more than half a minute. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#wanted = false
    const running = this.#running
    if (running === undefined) return
    const timer = setTimeout(() => signalThrough(running.child, 'SIGKILL'), 30_000)
    let sent = false
    while (running.child.exitCode === null && running.child.signalCode === null) {
      // It may be so young that it has not entered yet.
      sent ||= signalThrough(running.child, signal)
      await sleep(50)
    }
    clearTimeout(timer)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    if (this.#running !== undefined) signalThrough(this.#running.child, signal)
  }

  /** Times that the agent ended though nobody asked it to, since the last call. */
  takeOwnEnds(): readonly string[] {
    const ends = this.#ownEnds
    this.#ownEnds = []
    return ends
  }

  /** Fills the disk of the agent's state to the last byte. */
  fillDisk(): void {
    const file = openSync(join(this.stateDir, 'ballast'), 'w')
    try {
      for (let piece = Buffer.alloc(1024 * 1024); piece.length > 0;) {
        try {
          writeSync(file, piece)
        } catch {
          // Full for a piece of this size.
          piece = piece.subarray(0, Math.floor(piece.length / 2))
        }
      }
    } finally {
      closeSync(file)
    }
  }

  emptyDisk(): void {
    rmSync(join(this.stateDir, 'ballast'), { force: true })
  }

  /** Pids of the guests' `tart run`. */
  guests(): readonly number[] {
    return readdirSync('/proc').flatMap((pid) => {
      try {
        const isRun = /^\d+$/.test(pid) && /\0--locked\0run\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'))
        return isRun && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TART_HOME=${this.home}\0`) ? [Number(pid)] : []
      } catch {
        // It ended while this looked.
        return []
      }
    })
  }

  /** What is here though no job is: machines, supervisors, rules on the line, a filled disk. */
  async left(): Promise<readonly string[]> {
    const machines = await readdir(join(this.home, 'vms'))
    const supervisors = await readdir(join(this.stateDir, 'supervisors')).catch(() => [])
    return [
      ...machines.map((machine) => `${this.name} has the machine ${machine}`),
      ...this.guests().map((pid) => `${this.name} has a guest that runs (${pid})`),
      ...supervisors.map((id) => `${this.name} has the supervisor of ${id}`),
      ...(await leftOn(this.line)),
      ...(existsSync(join(this.stateDir, 'ballast')) ? [`${this.name} has a filled disk`] : []),
    ]
  }

  async remove(): Promise<void> {
    await this.stop()
    await this.#machine.remove()
    await removeLine(this.line)
    await must(['umount', this.stateDir])
  }
}
