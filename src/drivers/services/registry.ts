import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ServiceManager } from '../../ports/services.ts'
import { launchd } from './launchd/launchd.ts'
import { systemd } from './systemd/systemd.ts'

/** The keeper of services, by `process.platform`. */
export const serviceManagers = {
  linux: () => systemd(),
  darwin: () => launchd({ agentFolder: join(homedir(), 'Library', 'LaunchAgents'), uid: process.getuid?.() ?? 0 }),
} satisfies Record<string, () => ServiceManager>
