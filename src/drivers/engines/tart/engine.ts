import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { CideryError } from '../../../model/errors.ts'
import type { EngineFacts } from '../../../model/host.ts'
import type { Proof } from '../../../model/readiness.ts'
import type { RebootableEngine, EngineSandbox, LaunchCommand, SandboxCommand, SandboxRequest, SweepReport } from '../../../ports/engine.ts'
import type { Log } from '../../../ports/log.ts'
import { putFileInside } from '../put-file.ts'
import { RecordStore, writeAtomically } from '../records.ts'
import { measureRoom, roomProblems } from '../room.ts'
import { repairStateDir } from '../state-dir.ts'
import { Turns } from '../turns.ts'
import { bootMachine } from './boot.ts'
import type { Around } from './door.ts'
import { stopMachine } from './ending.ts'
import { launchCommand } from './entering.ts'
import { ghostProblem, knownGhost } from './ghost.ts'
import { lookAtHost, networkOf, type HostAbility } from './host.ts'
import { fitting, imageProblem, sourceOf } from './images.ts'
import { isAlive } from './processes.ts'
import { machineFiles, MachineRecord, placesInside } from './record.ts'
import { removeMachine, sweepMachines } from './removing.ts'
import type { TartEngineConfig } from './settings.ts'
import { Tart } from './tart.ts'

/** How long a look at the machine's abilities is believed. */
const factsMaxAgeMs = 60_000

/** A clone shares its blocks with the image; it only takes long where the disk has to be copied. */
const cloneMs = 10 * 60_000

/** A machine of macOS (or Linux) for each job, through Tart. */
export class TartEngine implements RebootableEngine {
  readonly name = 'tart'
  readonly #config: TartEngineConfig
  readonly #around: Around
  readonly #records: RecordStore<MachineRecord>
  readonly #turns = new Turns()
  #ability: { readonly at: number; readonly ability: Promise<HostAbility> } | undefined

  constructor(config: TartEngineConfig, log: Log | null) {
    this.#config = config
    this.#around = { config, tart: new Tart(config, log) }
    this.#records = new RecordStore(config.stateDir, MachineRecord)
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
    const left = this.#records.list().filter(({ residue }) => residue.length > 0)
    const problems = [
      ...(ghost === null ? [] : [ghostProblem(ghost)]),
      ...broken,
      ...(missing === null ? [] : [missing]),
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
      await this.#refuseWhatCannotBe(request)
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
      const onRun = (run: MachineRecord['run']): void => void this.#records.put({ ...record, run, door: null })
      const booted = await bootMachine({ ...this.#around, record, onRun })
      return this.#view(this.#records.put({ ...record, ...booted }))
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
    const sweeping = { ...this.#around, records: this.#records, own: this.#own(), remove }
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

  /** Begins the names of this agent's machines: the prefix, and what no other agent on this host has. */
  #own(): string {
    const path = `${this.#config.stateDir}/owner`
    if (!existsSync(path)) writeAtomically(path, randomBytes(4).toString('hex'))
    return `${this.#config.prefix}-${readFileSync(path, 'utf8')}-`
  }

  async #refuseWhatCannotBe(request: SandboxRequest): Promise<void> {
    if (!/^[a-z]+_[0-9a-z]{20,40}$/.test(request.id)) throw new CideryError('INVALID_INPUT', `${request.id} is not an id`)
    const { broken } = await this.#look()
    if (broken.length > 0) throw new CideryError('UNSUPPORTED', `the tart engine does not work here: ${broken.join('; ')}`)
    sourceOf(this.#config, request.image)
    const network = networkOf(this.#config)
    if (request.network !== network) {
      throw new CideryError('UNSUPPORTED', `a machine cannot have the network ${request.network} here`, {
        hint: `it has ${network}; engines.tart.network of agent.yaml says which`,
      })
    }
    if (request.mount !== null)
      throw new CideryError('MOUNT_REFUSED', 'a machine is shown no directory of this host', { hint: 'use --transfer sync' })
    if (request.limits === 'enforced') {
      throw new CideryError('UNSUPPORTED', 'Tart cannot limit disk: a machine has the disk of its image', {
        hint: 'set limits: advisory for this engine in the pool',
      })
    }
  }

  async #build(request: SandboxRequest, generation: number): Promise<MachineRecord> {
    const { id, jobId, shape, blockedAddresses } = request
    const { tart } = this.#around
    const name = `${this.#own()}${id.replaceAll('_', '-')}-${generation}`
    // Tart would clone over it without a word.
    if ((await tart.local()).some(({ Name }) => Name === name))
      throw new CideryError('CONFLICT', `there is a machine ${name} that nobody made`)
    const record = this.#records.put({
      id,
      jobId,
      name,
      generation,
      image: request.image ?? '',
      os: 'darwin',
      shape,
      blockedAddresses: [...blockedAddresses],
      phase: 'creating',
      createdAt: Date.now(),
      run: null,
      door: null,
      residue: [],
      notes: [],
    })
    await tart.must(['clone', sourceOf(this.#config, request.image), name], cloneMs)
    const { os, words, notes } = fitting(this.#config, name, shape)
    // Clones of one image have one hardware address, and would get one network address.
    await tart.must(['set', name, '--random-mac', ...words])
    return this.#records.put({ ...record, os, notes: [...notes], phase: 'ready' })
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
