import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import type { Fault } from '../doubles/tart/faults.ts'
import { makeGoldenImage } from '../doubles/tart/golden-image.ts'
import { eventually } from '../engine/support/eventually.ts'

export interface Told {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** Whether the suite runs against Tart itself on a Mac. */
export const onRealTart = process.env['CIDERY_REAL_TART'] === '1'

/** Images on a real Mac have to be there; the double's are made. */
export const images = {
  macos: process.env['CIDERY_REAL_TART_MACOS'] ?? 'ghcr.io/cidery/macos:15',
  linux: process.env['CIDERY_REAL_TART_LINUX'] ?? 'ghcr.io/cidery/debian:12',
} as const

/** Ends the title of every case: what was only ever seen on the double says so. */
export const provenance = onRealTart ? 'on Tart itself' : '(double of Tart; unverified on a Mac)'

/** Why a case is not run against Tart itself. */
export const doubleOnly = onRealTart && 'it makes things go wrong that nobody can order from a real Mac'

let made = 0

/** Below this all folders of one test file lie. */
function ownNet(): string {
  made += 1
  return `10.${100 + ((process.pid * 3 + made) % 100)}.${(process.pid * 7 + made) % 256}`
}

/** A Mac for tests: its Tart, its images, and what it shares between all TART_HOMEs. */
export class TartLab {
  readonly root = mkdtempSync('/tmp/cidery-tart-')
  readonly host = `${this.root}/host`
  readonly home = onRealTart ? (process.env['TART_HOME'] ?? `${homedir()}/.tart`) : `${this.root}/home`
  readonly registry = `${this.root}/registry`
  readonly faultsFile = `${this.root}/faults.json`
  readonly key = `${this.root}/key`
  readonly passwordFile = `${this.root}/password`
  readonly program = resolve('test/doubles/tart/bin/tart')
  readonly #net = ownNet()
  readonly #golden: boolean
  #version = '2.35'

  /** `golden: false` leaves out the images that stand in a folder, for labs that bring theirs from a registry. */
  constructor({ golden = true }: { readonly golden?: boolean } = {}) {
    this.#golden = golden
    for (const directory of [this.host, this.home, this.registry]) mkdirSync(directory, { recursive: true })
    this.faults([])
    if (onRealTart) return
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', this.key])
    writeFileSync(this.passwordFile, 'admin\n', { mode: 0o600 })
    if (!golden) return
    const authorizedKey = readFileSync(`${this.key}.pub`, 'utf8').trim()
    makeGoldenImage({ folder: `${this.registry}/ghcr.io/cidery/macos/15`, os: 'darwin', authorizedKey })
    makeGoldenImage({ folder: `${this.registry}/ghcr.io/cidery/debian/12`, os: 'linux', authorizedKey })
  }

  get environment(): Readonly<Record<string, string>> {
    if (onRealTart) return { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
    return {
      PATH: `${resolve('test/doubles/tart/bin')}:/usr/sbin:/usr/bin:/sbin:/bin`,
      HOME: this.root,
      TART_HOME: this.home,
      TART_FAKE_HOST: this.host,
      ...(this.#golden ? { TART_FAKE_REGISTRY: this.registry } : {}),
      TART_FAKE_FAULTS: this.faultsFile,
      TART_FAKE_NET: this.#net,
      TART_FAKE_VERSION: this.#version,
    }
  }

  imitate(version: '2.20' | '2.30' | '2.35'): void {
    this.#version = version
  }

  /** What goes wrong from now on; calls are counted anew. */
  faults(faults: readonly Fault[]): void {
    rmSync(`${this.faultsFile}.calls`, { recursive: true, force: true })
    writeFileSync(this.faultsFile, JSON.stringify(faults))
  }

  /** Runs Tart to its end. */
  async tart(
    words: readonly string[],
    options: { readonly env?: Readonly<Record<string, string>>; readonly input?: string } = {},
  ): Promise<Told> {
    const child = this.launch(words, options.env)
    child.child.stdin?.end(options.input ?? '')
    return child.ended
  }

  /** Starts Tart and leaves it running. */
  launch(words: readonly string[], env: Readonly<Record<string, string>> = {}): Launched {
    return new Launched(spawn('tart', words, { env: { ...this.environment, ...env }, cwd: '/', stdio: 'pipe' }))
  }

  /** Runs a machine and waits until its agent answers. */
  async running(name: string, words: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Launched> {
    const launched = this.launch(['run', '--no-graphics', ...words, name], env)
    await eventually(async () => {
      if (launched.told.code !== null) throw new Error(`tart run ended: ${launched.told.stderr}`)
      const { code } = await this.tart(['exec', name, 'true'], { env })
      if (code !== 0) throw new Error(`the agent of ${name} does not answer`)
    }, 60_000)
    return launched
  }

  /** Restarts the whole Mac, as far as its guests see. */
  restart(): void {
    execFileSync(process.execPath, ['test/doubles/tart/restart-host.child.ts'], { env: this.environment })
  }

  /** Tells this boot of the Mac from the next. */
  bootId(): string {
    const file = `${this.host}/boot-id`
    return existsSync(file) ? readFileSync(file, 'utf8') : 'first'
  }

  path(name: string): string {
    return `${this.home}/vms/${name}`
  }

  /** What is left on this machine of all that ran here. */
  left(): readonly string[] {
    return [
      ...readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(this.root)),
      ...readdirSync('/proc').filter((pid) => {
        try {
          return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(this.root)
        } catch {
          // It ended while this looked.
          return false
        }
      }),
      ...execFileSync('ip', ['route'], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.startsWith(`${this.#net}.`)),
      ...(existsSync(`${this.home}/tmp`) ? readdirSync(`${this.home}/tmp`) : []),
    ]
  }

  /** Deletes the machines that a test made, and looks that nothing of them is left. */
  async remove(): Promise<void> {
    try {
      if (onRealTart) return
      await eventually(() => {
        const left = this.left()
        if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
      })
    } finally {
      rmSync(this.root, { recursive: true, force: true })
    }
  }
}

/** A Tart that runs. */
export class Launched {
  readonly child: ChildProcess
  readonly ended: Promise<Told>
  #told: Told = { code: null, signal: null, stdout: '', stderr: '' }

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.on('data', (chunk: Buffer) => (this.#told = { ...this.#told, stdout: this.#told.stdout + chunk.toString('utf8') }))
    child.stderr?.on('data', (chunk: Buffer) => (this.#told = { ...this.#told, stderr: this.#told.stderr + chunk.toString('utf8') }))
    child.stdin?.on('error', () => undefined)
    this.ended = new Promise((done, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        this.#told = { ...this.#told, code, signal }
        done(this.#told)
      })
    })
  }

  get told(): Told {
    return this.#told
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }
}
