import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { processesWithText } from '../../src/drivers/engines/process-table.ts'
import { makeQemuEngine } from '../../src/drivers/engines/qemu/index.ts'
import type { QemuEngineSettings } from '../../src/drivers/engines/qemu/settings.ts'
import type { ImageEngine } from '../../src/ports/images.ts'
import { ensureGoldenDisk } from '../../tools/golden-disk/build.js'

/** Links of an engine of the tests, told from those of an agent that may run here. */
const prefix = 'vt-'

/** A `qemu` engine on the golden disk, in a state directory of its own. */
export interface Machines {
  readonly stateDir: string
  readonly disk: string
  /** Another engine on the same state, as after a restart of the agent. */
  make(more?: Partial<QemuEngineSettings>): ImageEngine
  /** What its engines are made with. */
  readonly settings: QemuEngineSettings
  /** What of its machines is on this host. */
  left(): readonly string[]
  remove(): void
}

export async function machines(settings: Partial<QemuEngineSettings> = {}, folder = 'state'): Promise<Machines> {
  const { disk } = await ensureGoldenDisk()
  const parent = mkdtempSync(join(tmpdir(), 'cidery-qemu-'))
  const stateDir = join(parent, folder)
  const images = { debian: dirname(disk) }
  const own = { stateDir, slots: 4, images, prefix, firstUid: 580_000, netRange: '198.19.200.0/24', ...settings }
  return {
    stateDir,
    disk,
    settings: own,
    make: (more) => makeQemuEngine({ ...own, ...more }),
    left: () => [
      ...processesWithText(`${stateDir}/`).map(({ pid, command }) => `process ${pid} ${command}`),
      ...['vms', 'records'].flatMap((name) => (existsSync(`${stateDir}/${name}`) ? readdirSync(`${stateDir}/${name}`) : [])),
      ...readdirSync('/sys/class/net').filter((name) => name.startsWith(prefix)),
    ],
    remove: () => rmSync(parent, { recursive: true, force: true }),
  }
}
