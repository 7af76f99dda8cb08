import { existsSync, readdirSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import type { SweepReport } from '../../../ports/engine.ts'
import type { RecordStore } from '../records.ts'
import type { Around } from './door.ts'
import { runsOf, switchOff } from './ending.ts'
import type { OwnNames } from './own-names.ts'
import { isAlive } from './processes.ts'
import { machineFiles, type MachineRecord } from './record.ts'

/** A machine counts as running for a moment after its process is gone. */
const deleteTries = 10
const deletePauseMs = 500

/** Deletes a machine or an image of Tart; one that is not there is fine. */
export async function deleteMachine({ tart }: Pick<Around, 'tart'>, name: string): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    const told = await tart.call(['delete', name])
    if (told.code === 0 || told.fault === 'noSuchVm') return
    if (told.fault !== 'isRunning' || tried >= deleteTries) throw await tart.error(`the machine ${name} could not be deleted`, told.stderr)
    await sleep(deletePauseMs)
  }
}

/** What of a machine is still on this host. */
async function leftOf({ config, tart }: Around, record: MachineRecord): Promise<readonly string[]> {
  const { directory } = machineFiles(config.stateDir, record.id)
  const listed = (await tart.local()).some(({ Name }) => Name === record.name)
  const running = [...((await isAlive(record.run)) && record.run !== null ? [record.run] : []), ...(await runsOf(record.name))]
  return [
    ...(listed || existsSync(`${config.home}/vms/${record.name}`) ? [`machine ${record.name}`] : []),
    ...running.map(({ pid }) => `process ${pid} tart run ${record.name}`),
    ...(existsSync(directory) ? [`files ${directory}`] : []),
  ]
}

export interface Removing extends Around {
  readonly records: RecordStore<MachineRecord>
}

/** Removes a machine and all that it had, then looks again; SANDBOX_RESIDUE with what resisted. */
export async function removeMachine(around: Removing, record: MachineRecord): Promise<number> {
  const { config, records } = around
  const removing = records.put({ ...record, phase: 'removing' })
  const wasUp = await isAlive(record.run)
  await switchOff(around, record.name, record.run)
  await deleteMachine(around, record.name)
  // A directory without all of its files is no machine for Tart, and is never deleted by it.
  rmSync(`${config.home}/vms/${record.name}`, { recursive: true, force: true })
  rmSync(machineFiles(config.stateDir, record.id).directory, { recursive: true, force: true, maxRetries: 3 })
  const left = await leftOf(around, removing)
  if (left.length > 0) {
    records.put({ ...removing, residue: left.slice(0, 50) })
    throw new CideryError('SANDBOX_RESIDUE', `${record.id} left behind: ${left.slice(0, 10).join(', ')}`, {
      hint: 'remove it by hand, then: cidery host clean',
      details: { left },
    })
  }
  records.remove(record.id)
  return wasUp ? 1 : 0
}

export interface Sweeping extends Removing {
  readonly names: OwnNames
  readonly remove: (record: MachineRecord) => Promise<number>
  readonly keep: ReadonlySet<string>
}

/**
 * Removes every machine that is not to be kept: those with a record, and those of this agent's own name that no record speaks of. Machines of people, of
 * other agents on this host, and those that are images or layers, are never touched.
 */
export async function sweepMachines(sweeping: Sweeping): Promise<SweepReport> {
  const { config, records, tart, names, keep } = sweeping
  const sandboxes: string[] = []
  const failures: string[] = []
  let ended = 0
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
      ended += await sweeping.remove(record)
      sandboxes.push(record.id)
    })
  }
  await trying(async () => {
    const machines = await tart.local()
    // A machine is recorded before it is made: one that is listed now and has no record never gets one.
    const known = new Set(records.list().map(({ name }) => name))
    for (const { Name: name } of machines) {
      if (!name.startsWith(names.prefix) || known.has(name) || names.isStored(name)) continue
      await switchOff(sweeping, name, null)
      await deleteMachine(sweeping, name)
    }
  })
  const ids = new Set([...records.list().map(({ id }) => id), ...keep])
  const vms = `${config.stateDir}/vms`
  for (const id of existsSync(vms) ? readdirSync(vms) : []) {
    if (!ids.has(id)) rmSync(`${vms}/${id}`, { recursive: true, force: true })
  }
  return { sandboxes, accounts: [], processes: ended, bytes: 0, failures }
}
