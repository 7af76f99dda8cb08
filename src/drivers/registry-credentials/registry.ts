import { makeDockerConfig } from './docker-config/docker-config.ts'
import { makeEnvironment } from './environment/environment.ts'
import { makeCredentialFiles } from './file/credential-files.ts'
import { makeKeychain } from './keychain/keychain.ts'
import type { MakePlace } from './place.ts'

/** Every place where the credentials of registries may be, in the order in which they are asked. A new one is one folder and one line here. */
export const credentialPlaces = {
  keychain: makeKeychain,
  environment: makeEnvironment,
  file: makeCredentialFiles,
  'docker-config': makeDockerConfig,
} satisfies Record<string, MakePlace>
