import type { AccountCleaner } from '../../../ports/engine.ts'
import { DirectoryIsolation } from './directory.ts'
import { UserEngine } from './engine.ts'
import type { Isolation } from './isolation.ts'
import { LinuxAccounts } from './linux/isolation.ts'
import { MacAccounts } from './macos/isolation.ts'
import { readSettings } from './settings.ts'
import type { UserEngineConfig, UserEngineSettings } from './settings.ts'

function chooseIsolation(config: UserEngineConfig): Isolation {
  const isRoot = process.geteuid?.() === 0
  if (config.isolation === 'directory' || !isRoot) return new DirectoryIsolation(config, isRoot)
  return process.platform === 'darwin' ? new MacAccounts(config) : new LinuxAccounts(config)
}

/** The `user` engine: as root an account per job, otherwise a directory per job, and it says which. */
export function makeUserEngine(settings: UserEngineSettings): AccountCleaner {
  const config = readSettings(settings)
  return new UserEngine(config, chooseIsolation(config))
}
