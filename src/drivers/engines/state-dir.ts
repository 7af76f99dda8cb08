import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'

/** Makes the engine's directory what it has to be, owner and mode, and gives in words what could not be made so. */
export function repairStateDir(path: string): readonly string[] {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    return [`${path} cannot be made: ${(error as Error).message}`]
  }
  const parts = [`${path}/records`, `${path}/images`].filter((directory) => existsSync(directory))
  const files = parts.flatMap((directory) => readdirSync(directory).map((name) => `${directory}/${name}`))
  return [...[path, ...parts].flatMap((directory) => repair(directory, 0o700)), ...files.flatMap((file) => repair(file, 0o600))]
}

function repair(path: string, mode: number): readonly string[] {
  const uid = process.geteuid?.() ?? 0
  try {
    const found = lstatSync(path)
    if (found.isSymbolicLink()) return [`${path} is a link`]
    if (found.uid !== uid) chownSync(path, uid, process.getegid?.() ?? 0)
    if ((found.mode & 0o777) !== mode) chmodSync(path, mode)
    return []
  } catch (error) {
    // It was there a moment ago: a record that went is fine.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    return [`${path} cannot be given to UID ${uid} with mode ${mode.toString(8)}: ${(error as Error).message}`]
  }
}
