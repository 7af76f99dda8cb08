import type { ChildProcess } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../model/errors.ts'
import { askInside, writeSshConfig, type Around } from './door.ts'
import { runsOf, switchOff } from './ending.ts'
import { faultIn } from './faults.ts'
import { ghostProblem, hasBooted, knownGhost, rememberBoot, rememberGhost } from './ghost.ts'
import { macGuests } from './guests.ts'
import { hardwareAddress } from './images.ts'
import { identify } from './processes.ts'
import { machineFiles, placesInside, type Door, type MachineRecord, type Process } from './record.ts'
import type { TartEngineConfig } from './settings.ts'

/** macOS guests that Apple's kernel lets run at once. */
const guestLimit = 2

const lookEveryMs = 250

/** One question to a guest that may hang. */
const askMs = 20_000

export interface BootRequest extends Around {
  readonly record: MachineRecord
  /** Called with each `tart run` that is started, before anything is waited for. */
  readonly onRun: (run: Process) => void
}

export interface Booted {
  readonly run: Process
  readonly door: Door
}

/** What `tart run` said, its last lines. */
function lastWords(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-5).join('\n')
  } catch {
    // It never began.
    return ''
  }
}

/** IPv4 addresses of what a machine must not reach; a name that nobody knows has none. */
async function addressesOf(blocked: readonly string[]): Promise<readonly string[]> {
  const hosts = blocked.map((address) => address.replace(/:\d+$/, ''))
  const found = await Promise.all(hosts.map((host) => lookup(host, { family: 4, all: true }).catch(() => [])))
  return found.flat().map(({ address }) => `${address}/32`)
}

async function runWords(config: TartEngineConfig, record: MachineRecord): Promise<readonly string[]> {
  const words = ['--no-graphics', '--no-audio', '--no-clipboard']
  if (config.network === 'shared') return [...words, record.name]
  const blocked = await addressesOf(record.blockedAddresses)
  return [...words, '--net-softnet', ...(blocked.length === 0 ? [] : [`--net-softnet-block=${blocked.join(',')}`]), record.name]
}

/** `tart run` of one machine, and whether it still runs. */
class Run {
  readonly process: Process
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(child: ChildProcess, process: Process) {
    this.#child = child
    this.process = process
    this.#ended = new Promise((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve()
      else child.once('exit', () => resolve())
    })
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** What comes first: the end of the work, or of the machine. */
  async orItsEnd<T>(work: Promise<T>): Promise<T | null> {
    return Promise.race([work, this.#ended.then(() => null)])
  }

  static async begin({ config, tart }: Around, record: MachineRecord): Promise<Run> {
    const files = machineFiles(config.stateDir, record.id)
    mkdirSync(files.directory, { recursive: true, mode: 0o700 })
    for (const path of [files.lost, files.knownHosts]) rmSync(path, { force: true })
    const child = tart.launch(await runWords(config, record), files.log)
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', (cause) => reject(new CideryError('ENGINE_FAILED', 'Tart could not be started', { cause })))
    })
    const pid = child.pid ?? 0
    return new Run(child, (await identify(pid)) ?? { pid, startedAt: Date.now() })
  }
}

const prepareScript = 'umask 077; mkdir -p -- "$@"'

/** A door through which commands can run, and the job's directories behind it; null while there is none. */
async function tryDoor(around: Around, record: MachineRecord, door: Door): Promise<Door | null> {
  const { work, temporary, secrets, ends } = placesInside(record.os, around.config.user)
  const { code } = await askInside(
    around,
    { record, door },
    { script: prepareScript, words: [work, temporary, secrets, ends], timeoutMs: askMs },
  )
  return code === 0 ? door : null
}

async function trySsh(around: Around, record: MachineRecord): Promise<Door | null> {
  const { code, stdout } = await around.tart.call(['ip', record.name], askMs)
  const address = stdout.trim()
  if (code !== 0 || !/^[\d.]+$/.test(address)) return null
  writeSshConfig(around.config, record, address)
  const door = { kind: 'ssh' as const, address }
  return (await leadsElsewhere(around, record, door)) ? null : tryDoor(around, record, door)
}

const addressesScript = 'PATH=/usr/sbin:/sbin:/usr/bin:/bin; ifconfig -a 2>/dev/null || ip link'

/**
 * Whether an address is that of another machine: two guests may be given the same one (tart#1097), clones of one image know the same keys, and a job in the
 * machine of another would see what is that one's alone. A guest that does not tell its hardware addresses is believed.
 */
async function leadsElsewhere(around: Around, record: MachineRecord, door: Door): Promise<boolean> {
  const { code, stdout } = await askInside(around, { record, door }, { script: addressesScript, timeoutMs: askMs })
  const found = code === 0 ? stdout.toLowerCase().match(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g) : null
  return found !== null && !found.includes(hardwareAddress(around.config, record.name))
}

/** What there is to try, in order. The guest agent needs neither address nor password and comes first. */
async function doorsOf({ config, tart }: Around, waitedMs: number): Promise<readonly Door['kind'][]> {
  const version = await tart.version()
  const hasAgent = faultIn("Error: Unexpected argument 'exec'", version) !== 'noExec'
  if (!hasAgent && config.ssh === null)
    throw new CideryError('UNSUPPORTED', `Tart ${version} has no exec, and no SSH is set up`, { hint: 'brew upgrade tart' })
  const isLate = !hasAgent || waitedMs > config.agentMs
  return [...(hasAgent ? (['agent'] as const) : []), ...(isLate && config.ssh !== null ? (['ssh'] as const) : [])]
}

/** Looks for a door until there is one, the machine ends (null), or the time is over. */
async function findDoor(around: Around, record: MachineRecord, run: Run): Promise<Door | null> {
  const { bootMs } = around.config
  const start = performance.now()
  for (let waited = 0; waited <= bootMs; waited = performance.now() - start) {
    for (const kind of await doorsOf(around, waited)) {
      const door = await run.orItsEnd(kind === 'agent' ? tryDoor(around, record, { kind }) : trySsh(around, record))
      if (door !== null || run.isOver) return door
    }
    await sleep(lookEveryMs)
  }
  const hint = around.config.ssh === null ? 'is the guest agent in the image? without it, set engines.tart.ssh' : undefined
  throw new CideryError('ENGINE_FAILED', `no command could be run inside within ${Math.round(bootMs / 1000)} s`, { hint })
}

type Tried = Booted | { readonly text: string }

/** One try to boot; what fails is ended again. */
async function tryBoot(around: BootRequest): Promise<Tried> {
  const { record } = around
  const run = await Run.begin(around, record)
  around.onRun(run.process)
  try {
    const door = await findDoor(around, record, run)
    if (door !== null) return { run: run.process, door }
    return { text: lastWords(machineFiles(around.config.stateDir, record.id).log) }
  } catch (error) {
    await switchOff(around, record.name, run.process)
    throw error
  }
}

/** Refuses a start that the kernel would refuse. The count is that of the host, not of this engine: it holds over restarts and for everybody. */
async function refuseThird(record: MachineRecord): Promise<void> {
  if (record.os !== 'darwin') return
  const { known } = await macGuests()
  if (known.length < guestLimit) return
  const names = known.map(({ name }) => name).join(', ')
  throw new CideryError('CONFLICT', `${guestLimit} macOS guests run on this host already, which is all that macOS allows: ${names}`)
}

/** The kernel refused although there is room: it may only be slow to see that a guest went. When it stays like that, a slot leaked. */
async function afterRefusal(around: BootRequest, text: string): Promise<Booted> {
  const { config, tart } = around
  const until = performance.now() + config.ghostMs
  let { possible } = await macGuests()
  while (possible.length < guestLimit && performance.now() < until) {
    await sleep(Math.min(1000, config.ghostMs / 4))
    const tried = await tryBoot(around)
    if ('door' in tried) return tried
    if (faultIn(tried.text, await tart.version()) !== 'guestLimit') throw await tart.error('the machine did not boot', tried.text)
    ;({ possible } = await macGuests())
  }
  const names = possible.map(({ name }) => name)
  if (possible.length >= guestLimit) throw await tart.error(`the machine did not boot (guests: ${names.join(', ')})`, text)
  await rememberGhost(config, names)
  throw new CideryError('ENGINE_FAILED', ghostProblem({ guests: names }), {
    hint: 'cidery host reboot',
    details: { fault: 'ghostSlot', guests: names },
  })
}

/**
 * Boots a machine until commands can run inside. The first boot after a start of the host may fail for macOS's network alone, and is tried a second time;
 * nothing else is.
 */
export async function bootMachine(around: BootRequest): Promise<Booted> {
  const { config, tart, record } = around
  const ghost = record.os === 'darwin' ? await knownGhost(config) : null
  if (ghost !== null)
    throw new CideryError('ENGINE_FAILED', ghostProblem(ghost), { hint: 'cidery host reboot', details: { fault: 'ghostSlot' } })
  // An agent that died while it booted the machine left it running, in a slot that is this machine's own.
  if ((await runsOf(record.name)).length > 0) await switchOff(around, record.name, record.run)
  await refuseThird(record)
  for (let tried = 1; ; tried += 1) {
    const booted = await tryBoot(around)
    if ('door' in booted) {
      await rememberBoot(config)
      return booted
    }
    const fault = faultIn(booted.text, await tart.version())
    if (fault === 'guestLimit') return afterRefusal(around, booted.text)
    const mayPass = fault === 'vmnet' || (['internal', 'unknown'].includes(fault) && !(await hasBooted(config)))
    if (tried > 1 || !mayPass) throw await tart.error('the machine did not boot', booted.text)
  }
}
