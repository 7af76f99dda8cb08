import type { RegistryCredentials } from '../../ports/registry-credentials.ts'
import { checkKind } from './kinds.ts'
import { registryName, type PlaceParts } from './place.ts'
import { credentialPlaces } from './registry.ts'

/**
 * Asks keychain, environment, files and Docker's configuration, in this order; the first that has something decides.
 *
 * @example createRegistryCredentials({ platform: process.platform, env: process.env, home: homedir(), processes, log, uid: process.getuid() })
 */
export function createRegistryCredentials(parts: PlaceParts): RegistryCredentials {
  const places = Object.values(credentialPlaces).map((make) => make(parts))
  return {
    async find(registry, signal) {
      const looked: string[] = []
      for (const place of places) {
        const answer = await place.find(registryName(registry), signal)
        if ('credential' in answer) return { found: true, credential: checkKind(answer.credential, registry) }
        looked.push(answer.looked)
      }
      return { found: false, looked }
    },
  }
}
