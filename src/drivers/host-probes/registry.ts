import type { HostProbe } from '../../ports/agent.ts'
import { linuxProbe } from './linux/linux-probe.ts'
import { macosProbe } from './macos/macos-probe.ts'

/** How to look at the machine, by `process.platform`. */
export const hostProbes = { linux: linuxProbe, darwin: (folder) => macosProbe(folder) } satisfies Record<
  string,
  (folder: string) => HostProbe
>
