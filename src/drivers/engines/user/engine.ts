import { availableParallelism } from 'node:os'
import { CideryError } from '../../../model/errors.ts'
import type { EngineFacts } from '../../../model/host.ts'
import type { Proof } from '../../../model/readiness.ts'
import type { AccountCleaner, EngineSandbox, LaunchCommand, SandboxCommand, SandboxRequest, SweepReport } from '../../../ports/engine.ts'
import { run } from '../commands.ts'
import { underLock } from '../kernel-lock.ts'
import { linkCount } from '../network-rules.ts'
import { putFileInside } from '../put-file.ts'
import { RecordStore } from '../records.ts'
import { measureRoom, roomProblems } from '../room.ts'
import { repairStateDir } from '../state-dir.ts'
import { Turns } from '../turns.ts'
import type { Isolation, IsolationFacts, Removed } from './isolation.ts'
import { allowedMount, mountPoint } from './mounts.ts'
import { SandboxRecord } from './record.ts'
import type { UserEngineConfig } from './settings.ts'
import { cleanAccount, sweepSandboxes } from './sweeping.ts'
import type { Sweeper } from './sweeping.ts'
import { accountName, allocateUid } from './uids.ts'

const version = '1'

/** How long a look at the machine's abilities is believed. */
const factsMaxAgeMs = 60_000

/** A fresh account (or, without root, a fresh directory) for each job. */
export class UserEngine implements AccountCleaner {
  readonly name = 'user'
  readonly #config: UserEngineConfig
  readonly #isolation: Isolation
  readonly #records: RecordStore<SandboxRecord>
  readonly #turns = new Turns()
  #facts: { readonly at: number; readonly facts: Promise<IsolationFacts> } | undefined

  constructor(config: UserEngineConfig, isolation: Isolation) {
    this.#config = config
    this.#isolation = isolation
    this.#records = new RecordStore(config.stateDir, SandboxRecord)
  }

  async probe(): Promise<EngineFacts> {
    const facts = await this.#ability()
    const { kind, notes } = this.#isolation
    return {
      name: 'user',
      ok: facts.broken.length === 0,
      problems: [...facts.broken, ...facts.weaker, ...notes],
      isolation: kind,
      slots: Math.min(this.#config.slots ?? Math.max(4, availableParallelism() * 2), this.#config.lastUid - this.#config.firstUid + 1),
      version,
      capabilities: {
        snapshot: false,
        suspend: false,
        nested: false,
        vnc: false,
        networks: facts.networks,
        limits: facts.limits,
        images: false,
      },
    }
  }

  async check(image: string | null): Promise<Proof> {
    const at = Date.now()
    if (image !== null) return { ok: false, at, reason: 'the user engine has no images' }
    const wrong = repairStateDir(this.#config.stateDir)
    if (wrong.length > 0) return { ok: false, at, reason: wrong.join('; ').slice(0, 500) }
    const facts = await this.#ability()
    const left = this.#records.list().filter(({ residue }) => residue.length > 0)
    const problems = [
      ...facts.broken,
      ...roomProblems(await measureRoom(this.#config.stateDir), this.#config.stateDir),
      ...left.map(({ account, residue }) => `${account} left behind: ${residue.join(', ')} (cidery host clean)`),
    ]
    return { ok: problems.length === 0, at, reason: problems.join('; ').slice(0, 500) }
  }

  list(): Promise<readonly EngineSandbox[]> {
    return Promise.resolve(this.#records.list().map((record) => this.#view(record)))
  }

  create(request: SandboxRequest): Promise<EngineSandbox> {
    return this.#turns.take(request.id, async () => {
      const known = this.#records.get(request.id)
      if (known?.phase === 'ready') return this.#view(known)
      await this.#refuseWhatCannotBe(request)
      this.#prepare()
      // A record that is not ready is what a crash left of an earlier try: nobody ever used it.
      if (known !== null) await this.#remove(known)
      return this.#view(await this.#underLock(() => this.#build(request)))
    })
  }

  start(id: string): Promise<EngineSandbox> {
    return this.#turns.take(id, async () => {
      const record = this.#mustHave(id)
      if (record.phase !== 'ready') throw new CideryError('CONFLICT', `the sandbox ${id} is being removed`)
      if (this.#isolation.isUp(record)) return this.#view(record)
      const { holder, notes } = await this.#isolation.boot(record, (work) => this.#underLock(work))
      return this.#view(this.#records.put({ ...record, holder, notes: [...notes] }))
    })
  }

  command(id: string, command: SandboxCommand): Promise<LaunchCommand> {
    return Promise.resolve().then(() => this.#launch(id, command))
  }

  // oxlint-disable-next-line max-params -- the port says so
  putFile(id: string, path: string, content: AsyncIterable<Uint8Array> | Uint8Array, mode: number): Promise<void> {
    return putFileInside((command) => this.#launch(id, command), { path, content, mode })
  }

  stop(id: string, graceMs: number): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record === null) return
      await this.#isolation.end(record, graceMs)
      this.#records.put({ ...record, holder: null })
    })
  }

  destroy(id: string): Promise<void> {
    return this.#turns.take(id, async () => {
      const record = this.#records.get(id)
      if (record !== null) await this.#remove(record)
    })
  }

  sweep(keep: ReadonlySet<string>): Promise<SweepReport> {
    const busy = this.#turns.busy()
    return sweepSandboxes(this.#sweeper(), new Set([...keep, ...busy]))
  }

  clean(account: string): Promise<SweepReport> {
    return cleanAccount(this.#sweeper(), account)
  }

  #sweeper(): Sweeper {
    return {
      config: this.#config,
      isolation: this.#isolation,
      records: this.#records,
      remove: (record) => this.#turns.take(record.id, () => this.#remove(record)),
      underLock: (work) => this.#underLock(work),
    }
  }

  #prepare(): void {
    const [problem] = repairStateDir(this.#config.stateDir)
    if (problem !== undefined) throw new CideryError('ENGINE_FAILED', problem, { hint: `chown -R it to the agent's user, then try again` })
    this.#records.prepare()
  }

  #underLock<T>(work: () => Promise<T>): Promise<T> {
    this.#prepare()
    return underLock(`${this.#config.stateDir}/lock`, work)
  }

  #ability(): Promise<IsolationFacts> {
    const now = performance.now()
    if (this.#facts === undefined || now - this.#facts.at > factsMaxAgeMs) {
      this.#prepare()
      this.#facts = { at: now, facts: this.#isolation.facts() }
    }
    return this.#facts.facts
  }

  async #refuseWhatCannotBe(request: SandboxRequest): Promise<void> {
    if (request.image !== null)
      throw new CideryError('UNSUPPORTED', 'the user engine has no images', { hint: 'leave the image out, or use an engine with VMs' })
    if (!/^[a-z]+_[0-9a-z]{20,40}$/.test(request.id) || !/^[a-z]+_[0-9a-z]{20,40}$/.test(request.jobId)) {
      throw new CideryError('INVALID_INPUT', `${request.id} and ${request.jobId} are not both ids`)
    }
    const { networks, limits, broken, weaker } = await this.#ability()
    if (broken.length > 0) throw new CideryError('UNSUPPORTED', `the user engine does not work here: ${broken.join('; ')}`)
    if (!networks.includes(request.network)) {
      const why = [...weaker, ...this.#isolation.notes].join('; ')
      throw new CideryError('UNSUPPORTED', `the network ${request.network} cannot be given here: ${why}`, {
        hint: `networks of this host: ${networks.join(', ')}`,
      })
    }
    if (request.mount !== null) this.#refuseMount(request.mount)
    const missing = (['cpu', 'memory', 'disk', 'processes'] as const).filter((limit) => !limits.includes(limit))
    if (request.limits === 'enforced' && missing.length > 0) {
      throw new CideryError('UNSUPPORTED', `this host cannot limit ${missing.join(', ')}`, {
        hint: 'set limits: advisory for this engine in the pool',
      })
    }
  }

  /** Before anything is made; what is mounted is looked at again at each boot. */
  #refuseMount(path: string): void {
    if (!this.#isolation.mounts)
      throw new CideryError('MOUNT_REFUSED', `isolation by ${this.#isolation.kind} shows no directory of this host here`, {
        hint: 'use --transfer sync',
      })
    allowedMount(this.#config, path)
  }

  async #build(request: SandboxRequest): Promise<SandboxRecord> {
    const records = this.#records.list()
    const accounts = await this.#isolation.accounts()
    const taken = new Set([...records, ...accounts.map(({ name }) => ({ account: name }))].map(({ account }) => account))
    const account = accountName(this.#config.prefix, request.jobId, (name) => taken.has(name))
    const uids = new Set(records.map(({ uid }) => uid))
    const uid = await allocateUid(this.#config, async (uid, wrapped) => uids.has(uid) || this.#isolation.uidIsUsed(uid, wrapped))
    const record: SandboxRecord = {
      id: request.id,
      jobId: request.jobId,
      account,
      uid,
      home: `${this.#config.homeRoot}/${account}`,
      shape: request.shape,
      limits: request.limits,
      network: request.network,
      blockedAddresses: [...request.blockedAddresses],
      mount: request.mount === null ? null : allowedMount(this.#config, request.mount),
      networkSlot: request.network === 'nat' ? this.#freeSlot(records) : null,
      phase: 'creating',
      createdAt: Date.now(),
      holder: null,
      residue: [],
      notes: [],
    }
    this.#records.put(record)
    await this.#isolation.build(record)
    return this.#records.put({ ...record, phase: 'ready' })
  }

  #freeSlot(records: readonly SandboxRecord[]): number {
    const used = new Set(records.map(({ networkSlot }) => networkSlot))
    const count = linkCount(this.#config.netRange)
    for (let slot = 0; slot < count; slot += 1) if (!used.has(slot)) return slot
    throw new CideryError('ENGINE_FAILED', `every network of ${this.#config.netRange} is in use`)
  }

  async #remove(record: SandboxRecord): Promise<Removed> {
    this.#records.put({ ...record, phase: 'removing' })
    const removed = await this.#isolation.clean(record)
    const { left } = removed
    if (left.length > 0) {
      this.#records.put({ ...record, phase: 'removing', holder: null, residue: left.slice(0, 50) })
      throw new CideryError('SANDBOX_RESIDUE', `${record.account} left behind: ${left.slice(0, 10).join(', ')}`, {
        hint: 'remove it by hand, then: cidery host clean',
        details: { left },
      })
    }
    this.#records.remove(record.id)
    if (record.network === 'nat') {
      await this.#underLock(async () => {
        if (!this.#records.list().some(({ network }) => network === 'nat')) await this.#isolation.restoreHost()
      })
    }
    await this.#afterSandbox()
    return removed
  }

  async #afterSandbox(): Promise<void> {
    if (this.#config.afterSandbox === undefined) return
    // The hook is the operator's: a job is not failed for it.
    await run(this.#config.afterSandbox, { timeoutMs: 60_000 }).catch(() => undefined)
  }

  #mustHave(id: string): SandboxRecord {
    const record = this.#records.get(id)
    if (record === null) throw new CideryError('NOT_FOUND', `there is no sandbox ${id} on this host`)
    return record
  }

  #launch(id: string, command: SandboxCommand): LaunchCommand {
    const record = this.#mustHave(id)
    if (!this.#isolation.isUp(record)) throw new CideryError('CONFLICT', `the sandbox ${id} is not running`)
    return this.#isolation.launch(record, command)
  }

  #view(record: SandboxRecord): EngineSandbox {
    const broken = record.residue.length > 0 || record.phase !== 'ready'
    return {
      id: record.id,
      engine: 'user',
      state: broken ? 'broken' : this.#isolation.isUp(record) ? 'running' : 'stopped',
      isolation: this.#isolation.kind,
      paths: this.#isolation.paths(record),
      mounted: record.mount === null ? null : mountPoint,
      user: this.#isolation.user(record),
      createdAt: record.createdAt,
      notes: [...this.#isolation.notes, ...record.notes, ...record.residue.map((thing) => `left behind: ${thing}`)],
    }
  }
}
