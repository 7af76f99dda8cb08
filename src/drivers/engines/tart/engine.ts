import { existsSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { EngineFacts } from '../../../model/host.ts'
import type { Proof } from '../../../model/readiness.ts'
import type { RebootableEngine, EngineSandbox, LaunchCommand, SandboxCommand, SandboxRequest, SweepReport } from '../../../ports/engine.ts'
import type { ImageEngine } from '../../../ports/images.ts'
import type { Log } from '../../../ports/log.ts'
import { putFileInside } from '../put-file.ts'
import { RecordStore } from '../records.ts'
import { measureRoom, roomProblems } from '../room.ts'
import { repairStateDir } from '../state-dir.ts'
import { Turns } from '../turns.ts'
import { bootMachine } from './boot.ts'
import { TartBuilder } from './builder.ts'
import { cloneMachine, noteUse, originOf, type Cloning } from './cloning.ts'
import { stopMachine } from './ending.ts'
import { launchCommand } from './entering.ts'
import { ghostProblem, knownGhost } from './ghost.ts'
import { lookAtHost, networkOf, type HostAbility } from './host.ts'
import { ImageRecord } from './image-record.ts'
import { TartImageStore } from './image-store.ts'
import { brokenMachinesProblem, imageProblem } from './images.ts'
import { OwnNames } from './own-names.ts'
import { isAlive } from './processes.ts'
import { machineFiles, MachineRecord, placesInside } from './record.ts'
import { refuseRequest, startOf } from './refusing.ts'
import { removeMachine, sweepMachines } from './removing.ts'
import type { TartEngineConfig } from './settings.ts'
import { Tart } from './tart.ts'

/** How long a look at the machine's abilities is believed. */
const factsMaxAgeMs = 60_000

/** A machine of macOS (or Linux) for each job, through Tart. */
export class TartEngine implements RebootableEngine, ImageEngine {
  readonly name = 'tart'
  readonly images: ImageEngine['images']
  readonly builder: ImageEngine['builder']
  readonly #config: TartEngineConfig
  readonly #around: Cloning
  readonly #records: RecordStore<MachineRecord>
  readonly #turns = new Turns()
  #ability: { readonly at: number; readonly ability: Promise<HostAbility> } | undefined

  constructor(config: TartEngineConfig, log: Log | null) {
    this.#config = config
    const images = new RecordStore(config.stateDir, ImageRecord, 'images')
    this.#around = { config, tart: new Tart(config, log), images, names: new OwnNames(config) }
    this.#records = new RecordStore(config.stateDir, MachineRecord)
    const parts = { ...this.#around, log, machines: this.#records, turns: this.#turns }
    this.images = new TartImageStore(parts)
    this.builder = new TartBuilder(parts)
  }

  async probe(): Promise<EngineFacts> {
    const { broken, weaker, version } = await this.#look()
    const ghost = await knownGhost(this.#config)
    const problems = [...broken, ...(ghost === null ? [] : [ghostProblem(ghost)])]
    return {
      name: 'tart',
      ok: problems.length === 0,
      problems: [...problems, ...weaker],
      isolation: 'vm',
      slots: this.#config.slots,
      version,
      capabilities: {
        snapshot: false,
        suspend: false,
        nested: false,
        vnc: false,
        networks: [networkOf(this.#config)],
        // Processors and memory are the machine's own, and what it does inside with processes costs the host nothing more. Its disk is its image's.
        limits: ['cpu', 'memory', 'processes'],
        images: true,
      },
    }
  }

  async check(image: string | null): Promise<Proof> {
    const at = Date.now()
    const wrong = repairStateDir(this.#config.stateDir)
    if (wrong.length > 0) return { ok: false, at, reason: wrong.join('; ').slice(0, 500) }
    const { broken } = await this.#look()
    const ghost = await knownGhost(this.#config)
    const missing = broken.length > 0 ? null : await imageProblem(this.#around, image)
    const unread = brokenMachinesProblem(this.#config)
    const left = this.#records.list().filter(({ residue }) => residue.length > 0)
    const problems = [
      ...(ghost === null ? [] : [ghostProblem(ghost)]),
      ...broken,
      ...(missing === null ? [] : [missing]),
      ...(unread === null ? [] : [unread]),
      ...roomProblems(await measureRoom(this.#config.stateDir), this.#config.stateDir),
      ...left.map(({ id, residue }) => `${id} left behind: ${residue.join(', ')}`),
    ]
    return { ok: problems.length === 0, at, reason: problems.join('; ').slice(0, 500) }
  }

  async needsReboot(): Promise<string | null> {
    const ghost = await knownGhost(this.#config)
    return ghost === null ? null : ghostProblem(ghost)
  }

  async list(): Promise<readonly EngineSandbox[]> {
    const records = this.#records.list()
    if (records.length === 0) return []
    const machines = new Set((await this.#around.tart.local()).map(({ Name }) => Name))
    return Promise.all(records.map((record) => this.#view(record, machines.has(record.name))))
  }

  create(request: SandboxRequest): Promise<EngineSandbox> {
    return this.#turns.take(request.id, async () => {
      const known = this.#records.get(request.id)
      if (known?.phase === 'ready') return this.#view(known)
      await refuseRequest(this.#around, await this.#look(), request)
      this.#prepare()
      // A record that is not ready is what a crash left of an earlier try: nobody ever used it.
      if (known !== null) await this.#remove(known)
      return this.#view(await this.#build(request, (known?.generation ?? 0) + 1))
    })
  }

  start(id: string): Promise<EngineSandbox> {
    return this.#turns.take(id, async () => {
      const record = this.#mustHave(id)
      if (record.phase !== 'ready') throw new CideryError('CONFLICT', `the sandbox ${id} is being removed`)
      if (record.door !== null && (await isAlive(record.run))) return this.#view(record)
      const { builder } = record
      // What runs writes: a build's disk counts as whole again when the guest has shut itself down.
      const open = { ...record, ...(builder === undefined ? {} : { builder: { ...builder, closed: false } }) }
      const onRun = (run: MachineRecord['run']): void => void this.#records.put({ ...open, run, door: null })
      const booted = await bootMachine({ ...this.#around, record: open, onRun })
      return this.#view(this.#records.put({ ...open, ...booted }))
    })
  }

  async command(id: string, command: SandboxCommand): Promise<LaunchCommand> {
    const { door, ...record } = this.#mustHave(id)
    if (door === null || !(await isAlive(record.run))) throw new CideryError('CONFLICT', `the sandbox ${id} is not running`)
    return launchCommand(this.#around, { ...record, door }, command)
  }

  // oxlint-disable-next-line max-params -- the port says so
  async putFile(id: string, path: string, content: AsyncIterable<Uint8Array> | Uint8Array, mode: number): Promise<void> {
    await this.command(id, { argv: ['true'], env: {} })
    const { door, ...record } = this.#mustHave(id)
    if (door === null) throw new CideryError('CONFLICT', `the sandbox ${id} is not running`)
    await putFileInside((command) => launchCommand(this.#around, { ...record, door }, command), { path, content, mode })
  }

  stop(id: string, graceMs: number): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record === null) return
      if (record.run !== null) await stopMachine(this.#around, record, graceMs)
      this.#records.put({ ...record, run: null, door: null })
    })
  }

  destroy(id: string): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record !== null) await this.#remove(record)
    })
  }

  sweep(keep: ReadonlySet<string>): Promise<SweepReport> {
    this.#prepare()
    const remove = (record: MachineRecord): Promise<number> => this.#turns.take(record.id, () => this.#remove(record))
    const sweeping = { ...this.#around, records: this.#records, remove }
    return sweepMachines({ ...sweeping, keep: new Set([...keep, ...this.#turns.busy()]) })
  }

  #remove(record: MachineRecord): Promise<number> {
    return removeMachine({ ...this.#around, records: this.#records }, record)
  }

  #look(): Promise<HostAbility> {
    const now = performance.now()
    if (this.#ability === undefined || now - this.#ability.at > factsMaxAgeMs) {
      this.#prepare()
      this.#ability = { at: now, ability: lookAtHost(this.#around) }
    }
    return this.#ability.ability
  }

  #prepare(): void {
    const [problem] = repairStateDir(this.#config.stateDir)
    if (problem !== undefined) throw new CideryError('ENGINE_FAILED', problem, { hint: `chown -R it to the agent's user, then try again` })
    this.#records.prepare()
  }

  async #build(request: SandboxRequest, generation: number): Promise<MachineRecord> {
    const { id, jobId, shape, blockedAddresses } = request
    const { tart, names } = this.#around
    const name = names.sandbox({ id, generation })
    // Tart would clone over it without a word.
    if ((await tart.local()).some(({ Name }) => Name === name))
      throw new CideryError('CONFLICT', `there is a machine ${name} that nobody made`)
    const record: MachineRecord = {
      id,
      jobId,
      name,
      generation,
      ...startOf(request),
      os: 'darwin',
      shape,
      blockedAddresses: [...blockedAddresses],
      phase: 'creating',
      createdAt: Date.now(),
      run: null,
      door: null,
      residue: [],
      notes: [],
    }
    // It counts as a user of its image as soon as it is sure that there is one: nobody removes that in between.
    const origin = originOf(this.#around, record)
    this.#records.put(record)
    noteUse(this.#around, record.image)
    return this.#records.put({ ...record, ...(await cloneMachine(this.#around, record, origin)), phase: 'ready' })
  }

  #mustHave(id: string): MachineRecord {
    const record = this.#records.get(id)
    if (record === null) throw new CideryError('NOT_FOUND', `there is no sandbox ${id} on this host`)
    return record
  }

  async #view(record: MachineRecord, isThere = true): Promise<EngineSandbox> {
    const { id, phase, residue, createdAt, notes, os } = record
    // One that was stopped took its commands' connections with it, as it should.
    const lost = record.run !== null && existsSync(machineFiles(this.#config.stateDir, id).lost)
    const broken = residue.length > 0 || phase !== 'ready' || lost || !isThere
    const { home, work, temporary, secrets } = placesInside(os, this.#config.user)
    return {
      id,
      engine: 'tart',
      state: broken ? 'broken' : (await isAlive(record.run)) ? 'running' : 'stopped',
      isolation: 'vm',
      paths: { home, work, temporary, secrets },
      mounted: null,
      user: this.#config.user,
      createdAt,
      notes: [
        ...notes,
        ...(isThere ? [] : ['Tart does not know the machine any more']),
        ...(lost ? ['a command lost its connection to the machine'] : []),
        ...residue.map((thing) => `left behind: ${thing}`),
      ],
    }
  }
}
