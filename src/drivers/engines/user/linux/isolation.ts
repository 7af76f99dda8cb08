import { existsSync } from 'node:fs'
import { CideryError } from '../../../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../../../ports/engine.ts'
import { findProgram, program } from '../../commands.ts'
import { connect, interfaceName, links, loopbackOnly, nameService, natProblem, restoreHost, unlink } from '../../network.ts'
import { isAlive, processesOf, signalAll } from '../../process-table.ts'
import { waitUntil } from '../../wait.ts'
import { carryEnvironment, enteringWords } from '../entering.ts'
import type { Booted, FoundAccount, Isolation, IsolationFacts, Paths, Removed } from '../isolation.ts'
import { allowedMount } from '../mounts.ts'
import type { SandboxRecord } from '../record.ts'
import type { UserEngineConfig } from '../settings.ts'
import { accountLeft, accounts, addAccount, isOurs, removeAccount, uidIsTaken } from './account.ts'
import { holdersOf, startHolder } from './boot.ts'
import { detectCgroups, entryFiles, killGroup, makeGroups, remainingGroups, removeGroups, tryLimits } from './cgroups.ts'
import type { Cgroups } from './cgroups.ts'
import { loopMountsWork, makePlace, placeLeft, placeOf, placesPresent, removeEmptyPlaces, removePlace } from './places.ts'
import { hasTraces, removeResidue } from './residue.ts'
import { launchScript } from './scripts.ts'

const needed = [
  'unshare',
  'nsenter',
  'setpriv',
  'setsid',
  'mount',
  'umount',
  'useradd',
  'userdel',
  'groupadd',
  'groupdel',
  'flock',
  'find',
  'ip',
] as const

const noPrivileges = ['--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--ambient-caps=-all'] as const

/** An account, namespaces and control groups for each sandbox; needs Linux and root. */
export class LinuxAccounts implements Isolation {
  readonly kind = 'account'
  readonly mounts = true
  readonly notes = []
  readonly #config: UserEngineConfig
  readonly #groups: Cgroups
  /** Whether disks can be files here, as the last look found. */
  #diskFiles: Promise<boolean> | undefined

  constructor(config: UserEngineConfig) {
    this.#config = config
    this.#groups = detectCgroups()
  }

  async facts(): Promise<IsolationFacts> {
    const missing = needed.filter((name) => findProgram(name) === null)
    const broken = missing.map((name) => `the program ${name} is not installed`)
    if (!existsSync(this.#config.homeRoot)) broken.push(`the directory ${this.#config.homeRoot} is not there`)
    if (broken.length > 0) return { networks: [], limits: [], broken, weaker: [] }
    this.#diskFiles = loopMountsWork(this.#config)
    const [nat, disk, held] = await Promise.all([natProblem(this.#config), this.#diskFiles, tryLimits(this.#groups)])
    const limits = [...held, ...(disk ? (['disk'] as const) : [])]
    const unlimited = (['cpu', 'memory', 'disk', 'processes'] as const).filter((name) => !limits.includes(name))
    const weaker = [...(nat === null ? [] : [nat]), ...unlimited.map((name) => `this host cannot limit ${name}`)]
    return { networks: nat === null ? ['nat', 'host', 'none'] : ['host', 'none'], limits, broken: [], weaker }
  }

  user(record: SandboxRecord): string {
    return record.account
  }

  paths({ home }: SandboxRecord): Paths {
    return { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: '/run/cidery/secrets' }
  }

  async uidIsUsed(uid: number, wrapped: boolean): Promise<boolean> {
    if (await uidIsTaken(uid)) return true
    // Before the first wrap nobody had this UID; after it, the host is searched for what an earlier owner may have left.
    if (!wrapped) return false
    return processesOf(uid).length > 0 || hasTraces(uid)
  }

  async build(record: SandboxRecord): Promise<void> {
    await addAccount(this.#config, { name: record.account, uid: record.uid }, record.home)
    this.#diskFiles ??= loopMountsWork(this.#config)
    await makePlace(this.#config, record, await this.#diskFiles)
  }

  async boot(record: SandboxRecord, underLock: <T>(work: () => Promise<T>) => Promise<T>): Promise<Booted> {
    const place = placeOf(this.#config, record.account)
    const names = nameService(this.#config, record.network)
    // A holder that a crash left without a record would keep the place mounted.
    await this.end(record, 0)
    const notes = this.#limit(record)
    const { holder, weak } = await startHolder({
      placeDirectory: place.directory,
      image: existsSync(place.image) ? place.image : null,
      home: record.home,
      homeRoot: this.#config.homeRoot,
      uid: record.uid,
      sharedMemoryMiB: Math.max(16, Math.floor(record.shape.memoryMiB / 2)),
      resolvConf: names.text,
      resolvConfPath: names.path,
      hiddenDirs: [this.#config.stateDir, ...this.#config.hiddenDirs],
      ownNetwork: record.network !== 'host',
      // Looked at again: links may lead elsewhere than when the sandbox was made.
      mount: record.mount === null ? null : allowedMount(this.#config, record.mount),
    })
    try {
      if (record.network === 'nat') notes.push(...(await underLock(() => connect(this.#config, record, holder))))
      if (record.network === 'none') await loopbackOnly(holder)
    } catch (error) {
      signalAll([{ pid: holder.pid, command: 'sh' }], 'SIGKILL')
      throw error
    }
    if (weak !== '') notes.push(`could not be made read-only: ${weak}`)
    if (record.network === 'nat' && names.resolvers.length === 0)
      notes.push('names do not resolve: the name server of this host is only on its loopback')
    if (record.network === 'host') notes.push('the network of the host is shared: its loopback and its neighbours can be reached')
    return { holder, notes }
  }

  #limit(record: SandboxRecord): string[] {
    try {
      makeGroups(this.#groups, record, this.#config.maxProcesses)
      return []
    } catch (cause) {
      if (record.limits === 'enforced')
        throw new CideryError('ENGINE_FAILED', `the limits of ${record.account} could not be set`, { cause })
      return ['limits of CPU, memory and processes are not enforced']
    }
  }

  isUp({ holder }: SandboxRecord): boolean {
    return holder !== null && isAlive(holder)
  }

  launch(record: SandboxRecord, command: SandboxCommand): LaunchCommand {
    const { holder, uid, network, home } = record
    if (holder === null) throw new CideryError('CONFLICT', `the sandbox ${record.id} is not running`)
    const spaces = ['-m', '-p', '-i', '-u', ...(network === 'host' ? [] : ['-n'])]
    const enter = [program('nsenter'), '-t', String(holder.pid), ...spaces]
    // In a session of its own, so that a signal for all of the command's group passes by the one who waits for it outside.
    const drop = [program('setpriv'), '--reuid', String(uid), '--regid', String(uid), ...noPrivileges, program('setsid')]
    const groups = entryFiles(this.#groups, record).filter((path) => existsSync(path))
    const guard = ['-c', launchScript, 'cidery-launch', String(holder.pid), holder.startTime, ...groups, '--'] as const
    return {
      argv: ['/bin/sh', ...guard, ...enter, ...drop, ...enteringWords(command, `${home}/work`)],
      env: carryEnvironment(command.env),
      cwd: '/',
    }
  }

  async end(record: SandboxRecord, graceMs: number): Promise<number> {
    const { uid, account } = record
    const place = placeOf(this.#config, account).directory
    const found = processesOf(uid)
    if (found.length > 0 && graceMs > 0) {
      signalAll(found, 'SIGTERM')
      await waitUntil(() => processesOf(uid).length === 0, graceMs)
    }
    // Process 1 takes its whole namespace along; the group takes what waits outside; the scan takes what was never inside.
    signalAll(holdersOf(place), 'SIGKILL')
    killGroup(this.#groups, account)
    await waitUntil(() => {
      const left = processesOf(uid)
      signalAll(left, 'SIGKILL')
      return left.length === 0 && holdersOf(place).length === 0
    }, 10_000)
    return found.length
  }

  async clean(record: SandboxRecord): Promise<Removed> {
    const processes = await this.end(record, 0)
    const name = interfaceName(this.#config, record.uid)
    if (!(await waitUntil(() => !links(this.#config).includes(name), 200))) await unlink(name)
    const files = await removeResidue(record, this.#config.dockerSocket)
    const bytes = await removePlace(this.#config, record.account)
    await removeGroups(this.#groups, record.account)
    const left = [...this.#left(record), ...files]
    if (left.length > 0) return { processes, bytes, left }
    // The account goes last: as long as something is left, its owner has a name that a person can read.
    await removeAccount(this.#config, { name: record.account, uid: record.uid })
    return { processes, bytes, left: accountLeft({ name: record.account, uid: record.uid }) }
  }

  /** What is left of a sandbox but files outside its own storage, which only a search finds. */
  #left({ uid, account }: SandboxRecord): readonly string[] {
    const outer = interfaceName(this.#config, uid)
    return [
      ...[...processesOf(uid), ...holdersOf(placeOf(this.#config, account).directory)].map(
        ({ pid, command }) => `process ${pid} ${command}`,
      ),
      ...placeLeft(this.#config, account),
      ...remainingGroups(this.#groups, account).map((path) => `control group ${path}`),
      ...(links(this.#config).includes(outer) ? [`network link ${outer}`] : []),
    ]
  }

  accounts(): Promise<readonly FoundAccount[]> {
    return Promise.resolve(accounts().filter((account) => isOurs(this.#config, account)))
  }

  strays(known: ReadonlySet<string>): Promise<readonly string[]> {
    return Promise.resolve(placesPresent(this.#config).filter((name) => !known.has(name)))
  }

  async removeStray(name: string): Promise<void> {
    await removePlace(this.#config, name)
    await removeGroups(this.#groups, name)
  }

  async restoreHost(): Promise<void> {
    removeEmptyPlaces(this.#config)
    await restoreHost(this.#config)
  }
}
