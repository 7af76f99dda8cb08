import { CideryError } from '../../../model/errors.ts'
import { askInside, type Around } from './door.ts'
import { isAlive, killProcess, processes } from './processes.ts'
import { placesInside, type MachineRecord, type Process } from './record.ts'
import { endScript } from './scripts.ts'

const stopSeconds = 10

/** What a guest may take on top of the grace to bring its files to the disk. */
const syncMs = 20_000

/** Ends a running machine: commands inside, then the machine, then its process. */
export async function stopMachine(around: Around, record: MachineRecord, graceMs: number): Promise<void> {
  const { config } = around
  const { door, run, name } = record
  if (door !== null && (await isAlive(run))) {
    const words = [placesInside(record.os, config.user).ends, String(Math.ceil(graceMs / 100))]
    // A guest that does not answer is switched off without.
    const asRoot = record.builder !== undefined
    await askInside(around, { record, door }, { script: endScript, words, asRoot, timeoutMs: graceMs + syncMs }).catch(() => undefined)
  }
  await switchOff(around, name, run)
}

/** Ends the machine of this name, by Tart's own command first, and every process of it. Nothing to do when there is none. */
export async function switchOff({ tart }: Around, name: string, run: Process | null): Promise<void> {
  const told = await tart.call(['stop', name, '--timeout', String(stopSeconds)], (stopSeconds + 20) * 1000)
  const processesOfIt = [...(run === null ? [] : [run]), ...(told.code === 0 ? [] : await runsOf(name))]
  for (const process of processesOfIt) {
    if (!(await killProcess(process))) throw new CideryError('ENGINE_FAILED', `tart run of ${name} (pid ${process.pid}) does not end`)
  }
}

/** Processes of `tart run` with this machine as their last word. */
export async function runsOf(name: string): Promise<readonly Process[]> {
  return (await processes()).filter(({ words }) => / run .*/.test(words) && words.endsWith(` ${name}`))
}
