import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import { askInside, type Around, type Entrance } from './door.ts'
import { faultIn } from './faults.ts'
import { isAlive } from './processes.ts'
import { machineFiles } from './record.ts'

/** One question to a guest that may hang. */
const askMs = 60_000

const lookEveryMs = 200

/** What is written goes to the disk before the system is told to go down: each ends all that runs by its own rules, then unmounts. */
const downScripts = {
  darwin: 'sync; exec /sbin/shutdown -h now </dev/null',
  linux: 'sync; exec /sbin/poweroff </dev/null',
} as const

/**
 * Has a guest shut itself down, and waits until its `tart run` is over. ENGINE_FAILED when it does not within the limit: one that has to be switched off may have
 * half a file anywhere. That its `tart run` ended as asked is all there is to see: Tart ends with 0 as well when somebody stops it (tart#803).
 */
export async function shutGuestDown(around: Around, { record, door }: Entrance, limitMs: number): Promise<void> {
  const start = performance.now()
  const asked = askInside(
    around,
    { record, door },
    { script: downScripts[record.os], asRoot: true, timeoutMs: Math.min(limitMs, askMs) },
  ).catch(() => null)
  while (await isAlive(record.run)) {
    if (performance.now() - start < limitMs) {
      await sleep(lookEveryMs)
      continue
    }
    const told = await asked
    const said = told === null || told.code === 0 ? '' : `; it said: ${`${told.stderr}${told.stdout}`.trim().slice(-200)}`
    throw new CideryError('ENGINE_FAILED', `the guest did not shut down within ${Math.round(limitMs / 1000)} s${said}`)
  }
  await asked
  const words = lastWords(machineFiles(around.config.stateDir, record.id).log)
  const fault = faultIn(words, await around.tart.version())
  if (fault !== 'unknown') throw await around.tart.error('the machine failed while it shut down', words)
}

function lastWords(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Nothing was said.
    return ''
  }
}
