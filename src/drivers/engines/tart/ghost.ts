import { existsSync, readFileSync, rmSync } from 'node:fs'
import { z } from 'zod'
import { run } from '../commands.ts'
import { writeAtomically } from '../records.ts'
import type { TartEngineConfig } from './settings.ts'

/** A slot of the kernel that is counted although nothing runs in it. Only a restart of the host gives it back. */
const Ghost = z.strictObject({ at: z.number(), bootId: z.string(), guests: z.array(z.string()).readonly() })
export type Ghost = z.infer<typeof Ghost>

/** Identifies this boot of the host. */
export async function bootIdOf(config: TartEngineConfig): Promise<string> {
  if (config.bootId !== null) return config.bootId()
  if (process.platform === 'linux') return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  return (await run(['sysctl', '-n', 'kern.bootsessionuuid'])).stdout.trim()
}

const path = (config: TartEngineConfig): string => `${config.stateDir}/ghost.json`

/** The finding, unless the host was restarted since. */
export async function knownGhost(config: TartEngineConfig): Promise<Ghost | null> {
  if (!existsSync(path(config))) return null
  const ghost = Ghost.safeParse(JSON.parse(readFileSync(path(config), 'utf8')))
  if (ghost.success && ghost.data.bootId === (await bootIdOf(config))) return ghost.data
  rmSync(path(config), { force: true })
  return null
}

export async function rememberGhost(config: TartEngineConfig, guests: readonly string[]): Promise<void> {
  writeAtomically(path(config), JSON.stringify({ at: Date.now(), bootId: await bootIdOf(config), guests } satisfies Ghost))
}

/** In words for people, with the cure. */
export function ghostProblem({ guests }: Pick<Ghost, 'guests'>): string {
  const running = guests.length === 0 ? 'no macOS guest runs' : `only ${guests.join(', ')} runs`
  return `the kernel counts a guest that is not there (it refuses a start although ${running} on this host): restart the host`
}

/** Whether this engine booted a machine since the host started: the first one may fail for macOS's network alone. */
export async function hasBooted(config: TartEngineConfig): Promise<boolean> {
  const file = `${config.stateDir}/booted`
  return existsSync(file) && readFileSync(file, 'utf8') === (await bootIdOf(config))
}

export async function rememberBoot(config: TartEngineConfig): Promise<void> {
  if (!(await hasBooted(config))) writeAtomically(`${config.stateDir}/booted`, await bootIdOf(config))
}
