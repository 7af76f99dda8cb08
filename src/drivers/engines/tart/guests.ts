import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { openFiles, processes } from './processes.ts'

/** Each guest of Apple's framework has one process of this name, whoever started it and with whatever program. */
const frameworkProcess = /^\S*\/com\.apple\.Virtualization\.VirtualMachine(?:\s|$)/

const Config = z.object({ os: z.enum(['darwin', 'linux']) })

/** A guest that runs on this host. */
export interface Guest {
  readonly pid: number
  /** Null when its disk is not one of Tart's, or may not be looked at. */
  readonly os: 'darwin' | 'linux' | null
  readonly name: string
}

/** All guests of the host, of every user and every TART_HOME. */
export async function guestsOfHost(): Promise<readonly Guest[]> {
  const found = (await processes()).filter(({ words }) => frameworkProcess.test(words))
  return Promise.all(found.map(async ({ pid }) => ({ pid, ...systemOf(await openFiles(pid)) })))
}

function systemOf(files: readonly string[]): Omit<Guest, 'pid'> {
  const disk = files.find((path) => path.endsWith('/disk.img'))
  if (disk === undefined) return { os: null, name: 'a machine that is not Tart’s' }
  const directory = disk.slice(0, disk.lastIndexOf('/'))
  try {
    const { os } = Config.parse(JSON.parse(readFileSync(`${directory}/config.json`, 'utf8')))
    return { os, name: directory.split('/').at(-1) ?? '' }
  } catch {
    // Another user's, or gone since the look.
    return { os: null, name: directory.split('/').at(-1) ?? '' }
  }
}

/** macOS guests of the host, and guests of which nobody knows what they run. */
export async function macGuests(): Promise<{ readonly known: readonly Guest[]; readonly possible: readonly Guest[] }> {
  const guests = await guestsOfHost()
  return { known: guests.filter(({ os }) => os === 'darwin'), possible: guests.filter(({ os }) => os !== 'linux') }
}
