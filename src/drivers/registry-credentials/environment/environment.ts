import { registryName, type CredentialPlace, type PlaceAnswer, type PlaceParts } from '../place.ts'

interface Variables {
  readonly username: string
  readonly password: string
  /** The variable that names the registry. */
  readonly hostname?: string
  /** The one registry that these variables are for. */
  readonly only?: string
}

const variables: readonly Variables[] = [
  { username: 'CIDERY_REGISTRY_USERNAME', password: 'CIDERY_REGISTRY_PASSWORD', hostname: 'CIDERY_REGISTRY_HOSTNAME' },
  { username: 'TART_REGISTRY_USERNAME', password: 'TART_REGISTRY_PASSWORD', hostname: 'TART_REGISTRY_HOSTNAME' },
  { username: 'GITHUB_USERNAME', password: 'GITHUB_TOKEN', only: 'ghcr.io' },
]

/**
 * Variables of this process. Tart sends its pair to every registry when none is named; here it is sent to the named one alone, so that a password never
 * goes to a registry that it was not meant for.
 */
export function makeEnvironment({ env }: PlaceParts): CredentialPlace {
  function read(name: string): string | undefined {
    const value = env[name]
    return value === '' ? undefined : value
  }

  function pair({ username, password, hostname = '', only }: Variables, registry: string): PlaceAnswer | null {
    const [user, secret] = [read(username), read(password)]
    if (user === undefined && secret === undefined) return null
    const named = only ?? read(hostname)
    if (named === undefined) return { looked: `${password} is set, but no ${hostname} says for which registry` }
    if (registryName(named) !== registry) return only === undefined ? { looked: `${hostname} names another registry` } : null
    if (secret === undefined) return { looked: `${username} is set without ${password}` }
    if (user === undefined) return { looked: `${password} is set without ${username}` }
    return { credential: { username: user, password: secret, source: `the variables ${username} and ${password}` } }
  }

  return {
    find(registry) {
      const answers = variables.map((names) => pair(names, registry)).filter((answer) => answer !== null)
      const found = answers.find((answer) => 'credential' in answer)
      if (found !== undefined) return Promise.resolve(found)
      const looked = answers.flatMap((answer) => ('looked' in answer ? [answer.looked] : []))
      return Promise.resolve({ looked: looked.length === 0 ? 'no variable CIDERY_REGISTRY_PASSWORD' : looked.join(', ') })
    },
  }
}
