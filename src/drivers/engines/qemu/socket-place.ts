import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'

/** While it is made, a control socket of ssh has 17 characters more; the kernel takes 107. */
const longestSocket = 107 - 17

/** What the longest path of a socket has below the place of all machines: `/<id>/<name>`. */
const below = `/att_${'0'.repeat(26)}/control`.length

/** Where paths that are too long get a short name: the place of this boot that only this user writes to. */
function shortNames(): string | null {
  if (process.geteuid?.() === 0) return '/run/cidery-vms'
  const own = process.env['XDG_RUNTIME_DIR']
  return own === undefined || own === '' ? null : `${own}/cidery-vms`
}

/**
 * The directory by whose name the sockets of the machines in `vms` are reached: itself, or a link to it where a path below it has more
 * characters than the kernel takes.
 */
export function socketPlace(vms: string, names: string | null = shortNames()): string {
  if (vms.length + below <= longestSocket || names === null) return vms
  return `${names}/${createHash('sha256').update(vms).digest('hex').slice(0, 16)}`
}

/** Why machines in this directory cannot have sockets, or null. */
export function socketProblem(vms: string, names: string | null = shortNames()): string | null {
  const over = socketPlace(vms, names).length + below - longestSocket
  if (over <= 0) return null
  return `the path ${vms} is ${over} characters too long for sockets below it: use a shorter state directory, or set XDG_RUNTIME_DIR`
}

/** Makes the directory, and the link where one is needed; takes away links whose directories are gone. Throws when others could change them. */
export function prepareSocketPlace(vms: string, names: string | null = shortNames()): void {
  const place = socketPlace(vms, names)
  mkdirSync(vms, { recursive: true, mode: 0o700 })
  if (place === vms || names === null) return
  mkdirSync(names, { recursive: true, mode: 0o700 })
  const found = lstatSync(names)
  const uid = process.geteuid?.() ?? 0
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o022) !== 0) {
    throw new CideryError('ENGINE_FAILED', `${names} must be a directory that only UID ${uid} writes to`, {
      hint: 'remove it, then try again',
    })
  }
  for (const name of readdirSync(names)) if (!existsSync(`${names}/${name}`)) rmSync(`${names}/${name}`, { force: true })
  if (targetOf(place) === vms) return
  // Renamed into place: another engine of this state directory sees the old link or the new one, never none.
  const part = `${place}.${process.pid}`
  rmSync(part, { force: true })
  symlinkSync(vms, part)
  renameSync(part, place)
}

function targetOf(link: string): string | null {
  try {
    return readlinkSync(link)
  } catch {
    return null
  }
}
