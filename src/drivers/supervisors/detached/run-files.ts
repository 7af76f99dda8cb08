import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import type { ExitRecord } from '../../../ports/supervisors.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** The supervisor of a run, written by itself before it starts the command; there is never a second one. */
export interface SupervisorRecord extends ProcessIdentity {
  readonly startedAt: number
  /** Path of its program, which must stay as long as it lives; those of agents before 0.2 do not say. */
  readonly program?: string
}

/** Files of one run, all in a directory of its own. */
export interface RunFiles {
  readonly directory: string
  readonly record: string
  readonly command: string
  readonly exit: string
  readonly log: string
  /** Its presence asks for cancellation; a signal only says to look at once. */
  readonly cancel: string
  /** What the supervisor itself complained about. */
  readonly trouble: string
}

export function runFiles(directory: string): RunFiles {
  const file = (name: string): string => `${directory}/${name}`
  return {
    directory,
    record: file('supervisor.json'),
    command: file('command.json'),
    exit: file('exit.json'),
    log: file('log'),
    cancel: file('cancel'),
    trouble: file('trouble'),
  }
}

/** The file's JSON, or null when there is no such file. Files are written whole, so what is there is complete. */
function readJson(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  return JSON.parse(text)
}

function writeSynced(path: string, text: string): void {
  const file = openSync(path, 'w', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/** Writes JSON so that after a crash the file is whole or not there. */
export function writeJson(files: RunFiles, path: string, value: unknown): void {
  const part = `${path}.${process.pid}.part`
  writeSynced(part, JSON.stringify(value))
  renameSync(part, path)
  syncDirectory(files.directory)
}

/** Like writeJson, but only one of all that try succeeds; false for the others. */
export function claimJson(files: RunFiles, path: string, value: unknown): boolean {
  const part = `${path}.${process.pid}.part`
  writeSynced(part, JSON.stringify(value))
  try {
    linkSync(part, path)
    syncDirectory(files.directory)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(part, { force: true })
  }
}

/** How the run ended, or null while it has not. */
export function readExit(files: RunFiles): ExitRecord | null {
  return readJson(files.exit) as ExitRecord | null
}

/** Who supervises the run, or null before it was started. */
export function readSupervisor(files: RunFiles): SupervisorRecord | null {
  return readJson(files.record) as SupervisorRecord | null
}

/** The process that was launched, or null before that. */
export function readCommand(files: RunFiles): ProcessIdentity | null {
  return readJson(files.command) as ProcessIdentity | null
}
