import { DirectoryIsolation } from '../directory.ts'
import type { UserEngineConfig } from '../settings.ts'

export class MacAccounts extends DirectoryIsolation {
  constructor(config: UserEngineConfig) {
    super(config, true)
  }
}
