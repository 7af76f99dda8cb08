import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { z } from 'zod'

/** A process that a sandbox lives by; `startTime` tells it from a later process with its pid. */
export const Holder = z.strictObject({ pid: z.int(), startTime: z.string(), bootId: z.string() })
export type Holder = z.infer<typeof Holder>

/** Writes a file so that after a crash it is either the old or the new one, whole. */
export function writeAtomically(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.part`
  const file = openSync(temporary, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  syncPath(path.slice(0, path.lastIndexOf('/')))
}

/** Brings a file or the names in a directory to the disk. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Whether a process of this number is there, whosever it is. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** One file per thing that an engine has made (a sandbox, if nothing else is said), written and synced before each step that cannot be taken back. */
export class RecordStore<T extends { readonly id: string }> {
  readonly #stateDir: string
  readonly #directory: string
  readonly #schema: z.ZodType<T>

  constructor(stateDir: string, schema: z.ZodType<T>, folder = 'records') {
    this.#stateDir = stateDir
    this.#directory = `${stateDir}/${folder}`
    this.#schema = schema
  }

  prepare(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  get(id: string): T | null {
    let text: string
    try {
      text = readFileSync(this.#path(id), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
    return this.#schema.parse(JSON.parse(text))
  }

  put(record: T): T {
    writeAtomically(this.#path(record.id), JSON.stringify(record))
    return record
  }

  /** Removes half-written files of processes that are gone. */
  removeParts(): void {
    for (const directory of [this.#stateDir, this.#directory]) {
      for (const name of existsSync(directory) ? readdirSync(directory) : []) {
        const pid = /\.(\d+)\.part$/.exec(name)?.[1]
        if (pid !== undefined && !isRunning(Number(pid))) rmSync(`${directory}/${name}`, { force: true })
      }
    }
  }

  remove(id: string): void {
    rmSync(this.#path(id), { force: true })
    syncPath(this.#directory)
  }

  list(): readonly T[] {
    let names: string[]
    try {
      names = readdirSync(this.#directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
    const records: T[] = []
    for (const name of names.filter((name) => name.endsWith('.json')).sort()) {
      const record = this.get(name.slice(0, -'.json'.length))
      if (record !== null) records.push(record)
    }
    return records
  }

  #path(id: string): string {
    return `${this.#directory}/${id}.json`
  }
}
