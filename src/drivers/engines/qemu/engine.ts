import { existsSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { EngineFacts } from '../../../model/host.ts'
import type { Proof } from '../../../model/readiness.ts'
import type {
  EngineSandbox,
  LaunchCommand,
  SandboxCommand,
  SandboxRequest,
  SweepReport,
  WarmingEngine,
  WarmRequest,
} from '../../../ports/engine.ts'
import type { ImageEngine } from '../../../ports/images.ts'
import { underLock } from '../kernel-lock.ts'
import { isAlive } from '../process-table.ts'
import { putFileInside } from '../put-file.ts'
import { RecordStore } from '../records.ts'
import { measureRoom, roomProblems } from '../room.ts'
import { repairStateDir } from '../state-dir.ts'
import { Turns } from '../turns.ts'
import { Acceleration, qemuVersion } from './acceleration.ts'
import { QemuBuilder } from './builder.ts'
import { reconnect } from './connection.ts'
import { makeDisks, type RootDisk } from './disks.ts'
import { launchCommand, workDirectory } from './entering.ts'
import { endInside } from './guest-control.ts'
import { lookAtHost, type HostAbility } from './host.ts'
import { noteUse, QemuImageStore } from './image-store.ts'
import { imageOf, imageProblem } from './images.ts'
import { layerOf, touchLayer } from './layers.ts'
import { endProcess } from './processes.ts'
import { filesOf, MachineRecord, machinesDirectory } from './record.ts'
import { refuseRequest } from './refusing.ts'
import { removeMachine, sweepMachines } from './removing.ts'
import type { QemuEngineConfig } from './settings.ts'
import { prepareSocketPlace } from './socket-place.ts'
import { Starting } from './starting.ts'
import { WarmMachines } from './warm.ts'

/** How long a look at the machine's abilities is believed. */
const factsMaxAgeMs = 60_000

/** QEMU closes its disks within this. */
const closeMs = 20_000

/** Disk of the job's account in the machine of a build, where nothing of it is kept. */
const homeMiB = 1024

/** What a machine's root disk is a clone of. */
function rootOf(config: QemuEngineConfig, { image, builder, shape }: MachineRecord): RootDisk {
  if (builder === undefined) return imageOf(config, image)
  const sizeMiB = shape.diskMiB
  return builder.layer === null
    ? { ...imageOf(config, image), sizeMiB }
    : { disk: layerOf(config, builder.layer).disk, format: 'qcow2', sizeMiB }
}

/** A builder is asked for by what it starts from; the image at the bottom of that has its kernel. */
function withImage(config: QemuEngineConfig, request: SandboxRequest): SandboxRequest {
  const { builder } = request
  if (builder === undefined) return request
  if ('image' in builder) return { ...request, image: builder.image }
  touchLayer(config, builder.layer)
  return { ...request, image: layerOf(config, builder.layer).image }
}

/** A Linux machine for each job. */
export class QemuEngine implements WarmingEngine, ImageEngine {
  readonly name = 'qemu'
  readonly images: ImageEngine['images']
  readonly builder: ImageEngine['builder']
  readonly #config: QemuEngineConfig
  readonly #records: RecordStore<MachineRecord>
  readonly #acceleration: Acceleration
  readonly #starting: Starting
  readonly #turns = new Turns()
  readonly #warm: WarmMachines
  #ability: { readonly at: number; readonly ability: Promise<HostAbility> } | undefined

  constructor(config: QemuEngineConfig) {
    this.#config = config
    this.#records = new RecordStore(config.stateDir, MachineRecord)
    this.#acceleration = new Acceleration(config)
    const parts = { config, records: this.#records, turns: this.#turns, underLock: <T>(work: () => Promise<T>) => this.#underLock(work) }
    this.#starting = new Starting({ ...parts, acceleration: this.#acceleration })
    this.images = new QemuImageStore({ ...parts, dropStates: (disk) => this.#starting.dropStates(disk) })
    this.builder = new QemuBuilder(parts)
    this.#warm = new WarmMachines({
      slots: config.slots,
      records: this.#records,
      turns: this.#turns,
      write: (request, warm) => this.#underLock(() => Promise.resolve(this.#write(request, warm))),
      start: async (record) => this.#starting.start(await this.#withDisks(record)),
      remove: (record) => this.#remove(record),
    })
  }

  async probe(): Promise<EngineFacts> {
    const { broken, weaker, networks } = await this.#look()
    const slow = this.#acceleration.problem()
    return {
      name: 'qemu',
      ok: broken.length === 0,
      problems: [...broken, ...weaker, ...(slow === null ? [] : [`machines run in software emulation: ${slow}`])],
      isolation: 'vm',
      slots: this.#config.slots,
      version: broken.length === 0 ? await qemuVersion() : '',
      capabilities: {
        snapshot: false,
        suspend: false,
        nested: false,
        vnc: false,
        networks: [...networks],
        // Memory, processors and disk are the machine's own; what it does inside with processes costs the host nothing more.
        limits: ['cpu', 'memory', 'disk', 'processes'],
        images: true,
      },
    }
  }

  async check(image: string | null): Promise<Proof> {
    const at = Date.now()
    const wrong = repairStateDir(this.#config.stateDir)
    if (wrong.length > 0) return { ok: false, at, reason: wrong.join('; ').slice(0, 500) }
    const { broken } = await this.#look()
    const missing = imageProblem(this.#config, image)
    const left = this.#records.list().filter(({ residue }) => residue.length > 0)
    const problems = [
      ...broken,
      ...(missing === null ? [] : [missing]),
      ...roomProblems(await measureRoom(this.#config.stateDir), this.#config.stateDir),
      ...left.map(({ id, residue }) => `${id} left behind: ${residue.join(', ')}`),
    ]
    return { ok: problems.length === 0, at, reason: problems.join('; ').slice(0, 500) }
  }

  list(): Promise<readonly EngineSandbox[]> {
    const sandboxes = this.#records.list().filter(({ warm }) => warm !== true)
    return Promise.resolve(sandboxes.map((record) => this.#view(record)))
  }

  create(asked: SandboxRequest): Promise<EngineSandbox> {
    return this.#turns.take(asked.id, async () => {
      const request = withImage(this.#config, asked)
      if (!/^[a-z]+_[0-9a-z]{20,40}$/.test(request.id)) throw new CideryError('INVALID_INPUT', `${request.id} is not an id`)
      const known = this.#records.get(request.id)
      if (known?.phase === 'ready') return this.#view(known)
      refuseRequest(this.#config, await this.#look(), request)
      this.#prepare()
      // A record that is not ready is what a crash left of an earlier try: nobody ever used it.
      if (known !== null) await this.#remove(known)
      const record = await this.#warm.allocate(request)
      return this.#view(record.phase === 'ready' ? record : await this.#withDisks(record))
    })
  }

  async keepWarm(wanted: readonly WarmRequest[], signal: AbortSignal): Promise<void> {
    this.#prepare()
    const ability = await this.#look()
    await this.#warm.keep(wanted, { signal, refuse: (like) => refuseRequest(this.#config, ability, like) })
  }

  start(id: string): Promise<EngineSandbox> {
    return this.#turns.take(id, async () => {
      const record = this.#mustHave(id)
      if (record.phase !== 'ready') throw new CideryError('CONFLICT', `the sandbox ${id} is being removed`)
      if (this.#isUp(record)) return this.#view(await this.#connected(record))
      return this.#view(await this.#starting.start(record))
    })
  }

  async command(id: string, command: SandboxCommand): Promise<LaunchCommand> {
    const launch = this.#launch(id, command)
    const record = this.#mustHave(id)
    if (record.master !== null && isAlive(record.master)) return launch
    await this.#turns.take(id, () => this.#connected(this.#mustHave(id)))
    return launch
  }

  // oxlint-disable-next-line max-params -- the port says so
  async putFile(id: string, path: string, content: AsyncIterable<Uint8Array> | Uint8Array, mode: number): Promise<void> {
    await this.command(id, { argv: ['true'], env: {} })
    await putFileInside((command) => this.#launch(id, command), { path, content, mode })
  }

  stop(id: string, graceMs: number): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record === null) return
      const { holder, master } = record
      if (holder !== null && isAlive(holder)) {
        await endInside(filesOf(this.#config, record).control, graceMs)
        // TERM makes QEMU close the disks; a machine that does not even do that is killed.
        await endProcess(holder, closeMs)
      }
      if (master !== null) await endProcess(master, 0)
      this.#records.put({ ...record, holder: null, master: null })
    })
  }

  destroy(id: string): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record !== null) await this.#remove(record)
    })
  }

  sweep(keep: ReadonlySet<string>): Promise<SweepReport> {
    const { records } = this.#removing()
    const remove = (record: MachineRecord): Promise<number> => this.#turns.take(record.id, () => this.#remove(record))
    return sweepMachines({
      config: this.#config,
      records,
      remove,
      keep: new Set([...keep, ...this.#turns.busy(), ...this.#starting.helpers(), ...this.#warm.names()]),
    })
  }

  #removing(): Parameters<typeof removeMachine>[0] {
    return { config: this.#config, records: this.#records, underLock: (work) => this.#underLock(work) }
  }

  #remove(record: MachineRecord): Promise<number> {
    return removeMachine(this.#removing(), record)
  }

  /** A running machine whose shared connection is there; it is opened again when it went. */
  async #connected(record: MachineRecord): Promise<MachineRecord> {
    const { holder, master } = record
    if (holder === null || (master !== null && isAlive(master))) return record
    const files = filesOf(this.#config, record)
    return this.#records.put({ ...record, master: await reconnect(files, holder, this.#config.bootMs) })
  }

  #look(): Promise<HostAbility> {
    const now = performance.now()
    if (this.#ability === undefined || now - this.#ability.at > factsMaxAgeMs) {
      this.#prepare()
      this.#ability = { at: now, ability: lookAtHost(this.#config) }
    }
    return this.#ability.ability
  }

  #prepare(): void {
    const [problem] = repairStateDir(this.#config.stateDir)
    if (problem !== undefined) throw new CideryError('ENGINE_FAILED', problem, { hint: `chown -R it to the agent's user, then try again` })
    this.#records.prepare()
    prepareSocketPlace(machinesDirectory(this.#config.stateDir))
  }

  #underLock<T>(work: () => Promise<T>): Promise<T> {
    this.#prepare()
    return underLock(`${this.#config.stateDir}/lock`, work)
  }

  async #withDisks(record: MachineRecord): Promise<MachineRecord> {
    noteUse(this.#config, record.image)
    await makeDisks(
      filesOf(this.#config, record),
      rootOf(this.#config, record),
      record.builder === undefined ? record.shape.diskMiB : homeMiB,
    )
    return this.#records.put({ ...record, phase: 'ready' })
  }

  /** Call under the engine's lock: no two machines get one slot. */
  #write({ id, jobId, image, shape, network, blockedAddresses, builder }: SandboxRequest, warm: boolean): MachineRecord {
    const used = new Set(this.#records.list().map(({ slot }) => slot))
    let slot = 0
    while (used.has(slot)) slot += 1
    if (slot >= this.#config.slots) throw new CideryError('CONFLICT', `all ${this.#config.slots} machines of this host are in use`)
    return this.#records.put({
      id,
      jobId,
      image: image ?? '',
      shape,
      network: network === 'nat' ? 'nat' : 'none',
      blockedAddresses: [...blockedAddresses],
      ...(warm ? { warm } : {}),
      ...(builder === undefined ? {} : { builder: { layer: 'layer' in builder ? builder.layer : null, closed: false } }),
      slot,
      phase: 'creating',
      createdAt: Date.now(),
      started: false,
      savedState: null,
      holder: null,
      master: null,
      residue: [],
      notes: [],
    })
  }

  #mustHave(id: string): MachineRecord {
    const record = this.#records.get(id)
    if (record === null) throw new CideryError('NOT_FOUND', `there is no sandbox ${id} on this host`)
    return record
  }

  #isUp({ holder }: MachineRecord): boolean {
    return holder !== null && isAlive(holder)
  }

  #launch(id: string, command: SandboxCommand): LaunchCommand {
    const record = this.#mustHave(id)
    if (!this.#isUp(record)) throw new CideryError('CONFLICT', `the sandbox ${id} is not running`)
    return launchCommand(filesOf(this.#config, record), record, command)
  }

  #view(record: MachineRecord): EngineSandbox {
    const { id, phase, residue, createdAt, notes } = record
    // One that was stopped took its commands' connections with it, as it should.
    const lost = record.holder !== null && existsSync(filesOf(this.#config, record).lost)
    const broken = residue.length > 0 || phase !== 'ready' || lost
    return {
      id,
      engine: 'qemu',
      state: broken ? 'broken' : this.#isUp(record) ? 'running' : 'stopped',
      isolation: 'vm',
      paths: { home: '/home/job', work: workDirectory, temporary: '/home/job/tmp', secrets: '/run/cidery/secrets' },
      mounted: null,
      user: 'job',
      createdAt,
      notes: [...notes, ...residue.map((thing) => `left behind: ${thing}`)],
    }
  }
}
