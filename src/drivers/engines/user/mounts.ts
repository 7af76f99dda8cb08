import { realpathSync, statSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { UserEngineConfig } from './settings.ts'

/** Where a directory of the host is shown inside. */
export const mountPoint = '/run/cidery/source'

function refused(message: string, hint: string): CideryError {
  return new CideryError('MOUNT_REFUSED', message, { hint })
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}

function resolved(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    // Not there, or not to be walked: either way nothing that could be shown.
    return null
  }
}

/**
 * The real path of a host directory that a job asks to see, after every link is followed. MOUNT_REFUSED unless it lies in a directory that
 * `mounts` of the engine names, and neither holds nor lies in anything that is hidden from jobs.
 *
 * @example allowedMount({ ...config, mounts: ['/srv/checkouts'] }, '/srv/checkouts/app') // '/srv/checkouts/app'
 */
export function allowedMount(config: Pick<UserEngineConfig, 'mounts' | 'stateDir' | 'hiddenDirs' | 'homeRoot'>, path: string): string {
  const allow = `name it, or a directory above it, in engines.user.mounts of agent.yaml on that host`
  if (config.mounts.length === 0) throw refused('this host lets no job see its directories', allow)
  const real = resolved(path)
  if (real === null || !statSync(real).isDirectory())
    throw refused(`there is no directory ${path} on this host`, 'a mount is read on the host that runs the job: choose it by a label')
  if (!config.mounts.some((directory) => isWithin(real, resolved(directory) ?? directory)))
    throw refused(`this host does not let jobs see ${real}`, allow)
  const hidden = [config.stateDir, config.homeRoot, ...config.hiddenDirs].map((directory) => resolved(directory) ?? directory)
  const found = hidden.find((directory) => isWithin(real, directory) || isWithin(directory, real))
  if (found !== undefined)
    throw refused(`${real} cannot be shown: it has to do with ${found}, which no job may see`, 'mount another directory')
  return real
}
