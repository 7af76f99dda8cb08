import { existsSync, readdirSync, rmSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { SweepReport } from '../../../ports/engine.ts'
import { interfaceName, links, restoreHost, unlink } from '../network.ts'
import type { RecordStore } from '../records.ts'
import { waitUntil } from '../wait.ts'
import { endProcess, killWithText } from './processes.ts'
import { filesOf, folderOf, hasOtherName, machineFiles, machinesDirectory, type MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

interface Removing {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
}

/**
 * Removes a machine and all that it had: its process, the connection, commands under way, its link, its files; then looks again. Gives the number of
 * processes that were ended; SANDBOX_RESIDUE with what resisted.
 */
export async function removeMachine({ config, records, underLock }: Removing, record: MachineRecord): Promise<number> {
  if (hasOtherName(records.list(), record)) {
    // It lives on under that.
    records.remove(record.id)
    return 0
  }
  records.put({ ...record, phase: 'removing' })
  const { directory, sockets } = filesOf(config, record)
  let ended = 0
  for (const process of [record.holder, record.master]) if (process !== null && (await endProcess(process, 0))) ended += 1
  const left = await killNaming(directory, sockets)
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
  if (existsSync(directory)) left.push(`files ${directory}`)
  if (record.network === 'nat') left.push(...(await removeLink(config, record.slot)))
  if (left.length > 0) {
    records.put({ ...record, phase: 'removing', holder: null, master: null, residue: left.slice(0, 50) })
    throw new CideryError('SANDBOX_RESIDUE', `${record.id} left behind: ${left.slice(0, 10).join(', ')}`, {
      hint: 'remove it by hand, then: cidery host clean',
      details: { left },
    })
  }
  records.remove(record.id)
  if (record.network === 'nat') {
    await underLock(async () => {
      if (!records.list().some(({ network }) => network === 'nat')) await restoreHost(config)
    })
  }
  return ended
}

/** Ends every process that was told of one of these directories, and gives those that resist. */
async function killNaming(...directories: readonly string[]): Promise<string[]> {
  const left: string[] = []
  for (const directory of new Set(directories)) left.push(...(await killWithText(`${directory}/`)))
  return left
}

/** The kernel takes a link away with its namespace, a moment after the last process. */
async function removeLink(config: QemuEngineConfig, slot: number): Promise<readonly string[]> {
  const name = interfaceName(config, config.firstUid + slot)
  if (await waitUntil(() => !links(config).includes(name), 2000)) return []
  await unlink(name)
  return links(config).includes(name) ? [`link ${name}`] : []
}

export interface Sweeping {
  readonly config: QemuEngineConfig
  readonly records: RecordStore<MachineRecord>
  readonly remove: (record: MachineRecord) => Promise<number>
  readonly keep: ReadonlySet<string>
}

/**
 * Removes every machine that is not to be kept: those with a record, and directories and processes below the engine's own directory that no record speaks
 * of, which a crash left. Nothing else on the host is looked at, so nobody else's machine is ever ended.
 */
export async function sweepMachines({ config, records, remove, keep }: Sweeping): Promise<SweepReport> {
  const sandboxes: string[] = []
  const failures: string[] = []
  let processes = 0
  const trying = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  records.removeParts()
  for (const record of records.list().filter(({ id }) => !keep.has(id))) {
    await trying(async () => {
      processes += await remove(record)
      sandboxes.push(record.id)
    })
  }
  const known = new Set([...records.list().map(folderOf), ...keep])
  const vms = machinesDirectory(config.stateDir)
  for (const id of (existsSync(vms) ? readdirSync(vms) : []).filter((id) => !known.has(id))) {
    await trying(async () => {
      const { directory, sockets } = machineFiles(config.stateDir, id)
      failures.push(...(await killNaming(directory, sockets)))
      rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
    })
  }
  return { sandboxes, accounts: [], processes, bytes: 0, failures }
}
