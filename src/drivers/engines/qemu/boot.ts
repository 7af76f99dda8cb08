import { randomBytes } from 'node:crypto'
import { closeSync, openSync, rmSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import { connect, nameService } from '../network.ts'
import { isAlive } from '../process-table.ts'
import type { Holder } from '../records.ts'
import { connectMaster, makeKeys } from './connection.ts'
import { personOf } from './entering.ts'
import { GuestControl } from './guest-control.ts'
import type { Image } from './images.ts'
import { endProcess, lastLines, ownNetwork, startDetached } from './processes.ts'
import { qemuWords, type Accelerator } from './qemu-words.ts'
import { filesOf, folderOf, type MachineFiles, type MachineRecord } from './record.ts'
import type { QemuEngineConfig } from './settings.ts'

export interface BootRequest {
  readonly config: QemuEngineConfig
  readonly record: MachineRecord
  readonly image: Image
  readonly accelerator: Accelerator
  readonly underLock: <T>(work: () => Promise<T>) => Promise<T>
  /** The memory of a machine that waits to be told who it is; without it the machine boots. */
  readonly memory?: string
}

export interface Booted {
  readonly holder: Holder
  readonly master: Holder
  readonly notes: readonly string[]
}

/** From a saved state a machine is there in a second or two; one that is not boots instead, which is sooner than to wait on. */
const resumeMs = 30_000

/** The user that the process of a machine becomes; null when it stays the agent's own, which is not root. */
export function ownUid(config: QemuEngineConfig, { slot }: Pick<MachineRecord, 'slot'>): number | null {
  return isRoot() ? config.firstUid + slot : null
}

const isRoot = (): boolean => process.geteuid?.() === 0

export interface StartRequest extends Pick<BootRequest, 'config' | 'record' | 'image' | 'accelerator'> {
  /** An open file that its state is read from, or `save` for one whose state is to be saved. */
  readonly state?: number | 'save'
}

/** Starts the process of a machine, in a network of its own where that can be had. */
export async function startMachine({ config, record, image, accelerator, state }: StartRequest, files: MachineFiles): Promise<Holder> {
  for (const path of [files.control, files.ssh, files.monitor, files.lost, files.console]) rmSync(path, { force: true })
  const kind = state === undefined ? 'none' : state === 'save' ? 'save' : 'resume'
  const words = [
    'qemu-system-x86_64',
    ...qemuWords({ record, files, image, accelerator, uid: ownUid(config, record), state: kind }),
  ] as const
  const argv = isRoot() ? (['setpriv', '--no-new-privs', 'unshare', '--net', ...words] as const) : words
  return startDetached(argv, { complaints: files.complaints, ...(typeof state === 'number' ? { extra: state } : {}) })
}

/** Waits for a line of the guest, and says why when its process ends before. */
export async function hearFrom(
  control: GuestControl,
  holder: Holder,
  { word, limitMs }: { readonly word: string; readonly limitMs: number },
): Promise<string> {
  try {
    return await control.hear(word, limitMs)
  } catch (error) {
    if (isAlive(holder)) throw error
    throw new CideryError('ENGINE_FAILED', 'the process of the machine ended', { cause: error })
  }
}

/**
 * Boots a machine until commands can run inside; nothing is slept for. What fails is killed again, and the error tells the last words of machine and
 * process.
 */
export async function bootMachine(request: BootRequest): Promise<Booted> {
  const { config, record, memory } = request
  const files = filesOf(config, record)
  const keys = await makeKeys(files, personOf(record))
  const limitMs = memory === undefined ? config.bootMs : Math.min(config.bootMs, resumeMs)
  const holder = await (memory === undefined ? startMachine(request, files) : resumeMachine(request, files, memory))
  let control: GuestControl | undefined
  try {
    const notes = await join(request, holder)
    control = await GuestControl.open(files.control, 20_000)
    if (memory === undefined) await hearFrom(control, holder, { word: 'waiting', limitMs: config.bootMs })
    const servers = record.network === 'nat' ? nameService(config, 'nat').resolvers.join(',') : ''
    const seed = randomBytes(64).toString('hex')
    const name = folderOf(record).replaceAll('_', '-')
    const kind = record.builder === undefined ? [] : ['builder']
    const words = [name, (Date.now() / 1000).toFixed(3), seed, keys.client, keys.host, servers === '' ? '-' : servers, ...kind]
    control.say(['person', ...words].join(' '))
    await hearFrom(control, holder, { word: 'ready', limitMs })
    return { holder, master: await connectMaster(files, holder, limitMs), notes }
  } catch (error) {
    await endProcess(holder, 0)
    const said = [lastLines(files.complaints, 3), lastLines(files.console, 5)].filter(Boolean).join('; console: ')
    throw new CideryError('ENGINE_FAILED', `the machine did not boot: ${(error as Error).message}${said === '' ? '' : ` (${said})`}`, {
      cause: error,
    })
  } finally {
    control?.close()
  }
}

async function resumeMachine(request: BootRequest, files: MachineFiles, memory: string): Promise<Holder> {
  const file = openSync(memory, 'r')
  try {
    return await startMachine({ ...request, state: file }, files)
  } finally {
    closeSync(file)
  }
}

/** Links a machine with `nat` to the outside; one without stays alone in its network. */
async function join({ config, record, underLock }: BootRequest, holder: Holder): Promise<readonly string[]> {
  if (record.network === 'none') return []
  await ownNetwork(holder)
  const { slot, blockedAddresses } = record
  const link = { uid: config.firstUid + slot, networkSlot: slot, blockedAddresses }
  return underLock(() => connect(config, link, holder))
}
