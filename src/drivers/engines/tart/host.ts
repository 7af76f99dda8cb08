import { statSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { Around } from './door.ts'
import type { TartEngineConfig } from './settings.ts'

/** What Tart needs on this host, and what is weaker than it should be. */
export interface HostAbility {
  /** Why no machine can be made; empty when it works. */
  readonly broken: readonly string[]
  readonly weaker: readonly string[]
  readonly version: string
}

/** Oldest version whose texts the engine knows. */
const oldest = [2, 20] as const

/**
 * The network of every machine. macOS's shared network reaches this host and its neighbours, which is what `host` promises and `nat` forbids; Softnet
 * keeps a machine to the world outside.
 */
export function networkOf({ network }: TartEngineConfig): 'nat' | 'host' {
  return network === 'softnet' ? 'nat' : 'host'
}

export async function lookAtHost({ config, tart }: Around): Promise<HostAbility> {
  if (tart.find() === null) return { broken: ['Tart is not installed: brew install openai/tools/tart'], weaker: [], version: '' }
  tart.forget()
  const version = await tart.version()
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    return { broken: [`Tart ${version} is too old: brew upgrade tart`], weaker: [], version }
  }
  const { code, stderr } = await tart.call(['list', '--format', 'json'])
  const broken = [...(code === 0 ? [] : [`tart list fails: ${stderr.trim().slice(-200)}`]), ...foreignPlaces(config)]
  const isRoot = process.platform === 'darwin' && process.geteuid?.() === 0
  return { broken, weaker: weaknesses(config, isRoot), version }
}

/** Places of Tart that are another user's: what is made there, by root too, could not be removed by whoever made the rest. */
function foreignPlaces({ home }: TartEngineConfig): readonly string[] {
  const own = process.geteuid?.()
  const places = ['', '/vms', '/cache', '/cache/OCIs', '/tmp'].map((name) => `${home}${name}`)
  const foreign = places.filter((path) => (statSync(path, { throwIfNoEntry: false })?.uid ?? own) !== own)
  return foreign.length === 0
    ? []
    : [`${foreign.join(', ')} ${foreign.length === 1 ? 'is' : 'are'} another user's: chown -R ${userInfo().username} ${home}`]
}

function weaknesses(config: TartEngineConfig, isRoot: boolean): readonly string[] {
  return [
    config.network === 'shared'
      ? 'machines reach this host and its network: set engines.tart.network to softnet for nat'
      : 'machines reach this host by the address of its bridge, which Softnet leaves open for names',
    ...(isRoot ? ['Tart does not work well as root (tart#921): run the agent as a user'] : []),
  ]
}
