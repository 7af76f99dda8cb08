import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { z } from 'zod'

/** The process that keeps a running sandbox's namespaces alive; `startTime` tells it from a later process with its pid. */
export const Holder = z.strictObject({ pid: z.int(), startTime: z.string(), bootId: z.string() })
export type Holder = z.infer<typeof Holder>

/** What the engine wrote down before it changed anything on the host for a sandbox. */
export const SandboxRecord = z.strictObject({
  id: z.string(),
  jobId: z.string(),
  account: z.string(),
  uid: z.int(),
  home: z.string(),
  shape: z.strictObject({ cpu: z.number(), memoryMiB: z.int(), diskMiB: z.int() }),
  limits: z.enum(['enforced', 'advisory']),
  network: z.enum(['nat', 'host', 'none']),
  blockedAddresses: z.array(z.string()),
  /** Directory of the host that is shown inside, with every link followed. */
  mount: z.string().nullable().default(null),
  /** Which of the /30 networks of the engine's range is its own; null without `nat`. */
  networkSlot: z.int().nullable(),
  /** `creating` until every part exists, `removing` from the first step of its end; a crash leaves what is to be cleaned. */
  phase: z.enum(['creating', 'ready', 'removing']),
  createdAt: z.number(),
  holder: Holder.nullable(),
  /** What the last clean-up could not remove. */
  residue: z.array(z.string()),
  notes: z.array(z.string()),
})
export type SandboxRecord = z.infer<typeof SandboxRecord>

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
  syncDirectory(path.slice(0, path.lastIndexOf('/')))
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** One file per sandbox, written and synced before each step that cannot be taken back. */
export class RecordStore {
  readonly #stateDir: string
  readonly #directory: string

  constructor(stateDir: string) {
    this.#stateDir = stateDir
    this.#directory = `${stateDir}/records`
  }

  prepare(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
  }

  get(id: string): SandboxRecord | null {
    let text: string
    try {
      text = readFileSync(this.#path(id), 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
    return SandboxRecord.parse(JSON.parse(text))
  }

  put(record: SandboxRecord): SandboxRecord {
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
    syncDirectory(this.#directory)
  }

  list(): readonly SandboxRecord[] {
    let names: string[]
    try {
      names = readdirSync(this.#directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
    const records: SandboxRecord[] = []
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
