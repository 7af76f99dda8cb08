import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { CideryError } from '../../../../model/errors.ts'
import type { LaunchCommand, SandboxCommand } from '../../../../ports/engine.ts'
import { must, run } from '../../commands.ts'
import type { Ran } from '../../commands.ts'
import { carryEnvironment, enteringWords } from '../entering.ts'
import type { Booted, FoundAccount, Isolation, IsolationFacts, Paths, Removed } from '../isolation.ts'
import type { SandboxRecord } from '../record.ts'
import type { UserEngineConfig } from '../settings.ts'
import * as commands from './commands.ts'

/** What the macOS side needs of the machine; the real one below, a double in tests. */
export interface MacSystem {
  run(command: commands.MacCommand): Promise<Ran>
  must(command: commands.MacCommand): Promise<string>
  kill(pid: number, signal: NodeJS.Signals): void
  exists(path: string): boolean
  bootId(): string
}

let bootSession: string | undefined

const thisMac: MacSystem = {
  run: (command) => run(command, { timeoutMs: 120_000 }),
  must: (command) => must(command, { timeoutMs: 120_000 }),
  kill(pid, signal) {
    try {
      process.kill(pid, signal)
    } catch {
      // Gone since the look.
    }
  },
  exists: (path) => existsSync(path),
  bootId() {
    bootSession ??= execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim()
    return bootSession
  },
}

/** An account for each sandbox on macOS; needs root. macOS has no namespaces and no control groups, and this says so. */
export class MacAccounts implements Isolation {
  readonly kind = 'account'
  readonly mounts = false
  readonly notes = ['macOS shares network, /tmp and the process table between accounts; use VMs where jobs must not see each other']
  readonly #config: UserEngineConfig
  readonly #system: MacSystem

  constructor(config: UserEngineConfig, system: MacSystem = thisMac) {
    this.#config = config.homeRoot === '/home' ? { ...config, homeRoot: '/Users' } : config
    this.#system = system
  }

  facts(): Promise<IsolationFacts> {
    const broken = commands.neededPrograms.filter((path) => !this.#system.exists(path)).map((path) => `the program ${path} is not there`)
    return Promise.resolve({
      networks: ['host'],
      limits: [],
      broken,
      weaker: ['macOS cannot limit cpu, memory, disk, processes of an account'],
    })
  }

  user({ account }: SandboxRecord): string {
    return account
  }

  paths(record: SandboxRecord): Paths {
    const home = this.#home(record)
    return { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: `${home}/.secrets` }
  }

  async uidIsUsed(uid: number, wrapped: boolean): Promise<boolean> {
    const taken = (await Promise.all([this.#listed(), this.#listed('groups')])).flat().some((account) => account.uid === uid)
    if (taken || !wrapped) return taken
    return (await this.#processes(uid)).length > 0 || (await this.#files(uid)).length > 0
  }

  async build(record: SandboxRecord): Promise<void> {
    const account = this.#own(record)
    for (const command of commands.addAccountCommands(account, this.#home(record))) await this.#system.must(command)
    for (const command of commands.makeHomeCommands(account.uid, this.#home(record))) await this.#system.must(command)
  }

  boot(): Promise<Booted> {
    return Promise.resolve({ holder: { pid: 0, startTime: '0', bootId: this.#system.bootId() }, notes: [] })
  }

  isUp({ holder }: SandboxRecord): boolean {
    return holder !== null && holder.bootId === this.#system.bootId()
  }

  launch(record: SandboxRecord, command: SandboxCommand): LaunchCommand {
    const env = carryEnvironment(command.env)
    const enter = commands.enterWords({ uid: record.uid, carriers: Object.keys(env) })
    const words = enteringWords(command, this.paths(record).work, commands.startersOwn)
    return { argv: [...enter, ...words], env, cwd: '/' }
  }

  async end(record: SandboxRecord, graceMs: number): Promise<number> {
    const { uid } = this.#own(record)
    const found = await this.#processes(uid)
    if (found.length > 0 && graceMs > 0) {
      for (const { pid } of found) this.#system.kill(pid, 'SIGTERM')
      await this.#goneWithin(uid, graceMs)
    }
    // launchd would start its jobs again as fast as they are killed: its domains go first.
    for (const command of commands.bootOutCommands(uid)) await this.#system.run(command)
    for (let round = 0; round < 20; round += 1) {
      const left = await this.#processes(uid)
      if (left.length === 0) break
      for (const { pid } of left) this.#system.kill(pid, 'SIGKILL')
      await this.#goneWithin(uid, 500)
    }
    return found.length
  }

  async clean(record: SandboxRecord): Promise<Removed> {
    const { name, uid } = this.#own(record)
    const home = this.#home(record)
    const processes = await this.end(record, 0)
    for (const command of commands.removeIpcCommands((await this.#system.run(commands.listIpcCommand())).stdout, name))
      await this.#system.run(command)
    for (const command of commands.unmountCommands((await this.#system.run(commands.mountsCommand())).stdout, home))
      await this.#system.run(command)
    const used = await this.#system.run(['/usr/bin/du', '-skx', home])
    if ((await this.#files(uid)).length > 0) await this.#system.run(commands.findFilesCommand(uid, 'delete'))
    await this.#system.run(commands.removeFilesCommand([home, ...commands.namedFiles(name)]))
    const left = await this.#left(record)
    if (left.length === 0) {
      for (const command of commands.removeAccountCommands(name)) await this.#system.run(command)
      left.push(...(await this.#entries({ name, uid })))
    }
    return { processes, bytes: (Number.parseInt(used.stdout, 10) || 0) * 1024, left }
  }

  async accounts(): Promise<readonly FoundAccount[]> {
    return (await this.#listed()).filter((account) => this.#isOurs(account))
  }

  strays(): Promise<readonly string[]> {
    return Promise.resolve([])
  }

  removeStray(): Promise<void> {
    return Promise.resolve()
  }

  restoreHost(): Promise<void> {
    return Promise.resolve()
  }

  #home({ account }: SandboxRecord): string {
    return `${this.#config.homeRoot}/${account}`
  }

  #isOurs({ name, uid }: FoundAccount): boolean {
    return name.startsWith(this.#config.prefix) && uid >= this.#config.firstUid && uid <= this.#config.lastUid
  }

  #own({ account, uid }: SandboxRecord): FoundAccount {
    const own = { name: account, uid }
    if (this.#isOurs(own)) return own
    throw new CideryError('FORBIDDEN', `the account ${account} (UID ${uid}) was not made by cidery`)
  }

  async #listed(what: 'accounts' | 'groups' = 'accounts'): Promise<readonly FoundAccount[]> {
    const command = what === 'accounts' ? commands.listAccountsCommand() : commands.listGroupsCommand()
    return commands.readListing(await this.#system.must(command))
  }

  async #processes(uid: number): Promise<readonly { readonly pid: number; readonly command: string }[]> {
    return commands.readProcesses(await this.#system.must(commands.listProcessesCommand()), uid)
  }

  async #files(uid: number): Promise<readonly string[]> {
    return (await this.#system.run(commands.findFilesCommand(uid, 'print'))).stdout.split('\n').filter(Boolean)
  }

  async #goneWithin(uid: number, timeoutMs: number): Promise<void> {
    const start = performance.now()
    while (performance.now() - start < timeoutMs && (await this.#processes(uid)).length > 0) await sleep(50)
  }

  async #left(record: SandboxRecord): Promise<string[]> {
    const { name, uid } = this.#own(record)
    const home = this.#home(record)
    const named = [home, ...commands.namedFiles(name)].filter((path) => this.#system.exists(path))
    return [
      ...(await this.#processes(uid)).map(({ pid, command }) => `process ${pid} ${command}`),
      ...[...(await this.#files(uid)).slice(0, 20), ...named].map((path) => `file ${path}`),
      ...commands
        .removeIpcCommands((await this.#system.run(commands.listIpcCommand())).stdout, name)
        .map((words) => `ipc ${words.slice(1).join(' ')}`),
    ]
  }

  async #entries({ name, uid }: FoundAccount): Promise<readonly string[]> {
    const same = (found: FoundAccount): boolean => found.name === name || found.uid === uid
    const [accounts, groups] = await Promise.all([this.#listed(), this.#listed('groups')])
    return [...accounts.filter(same).map((found) => `account ${found.name}`), ...groups.filter(same).map((found) => `group ${found.name}`)]
  }
}
