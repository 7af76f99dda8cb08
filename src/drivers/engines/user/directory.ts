import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import type { LaunchCommand, SandboxCommand } from '../../../ports/engine.ts'
import { findProgram, run } from '../commands.ts'
import { bootId, processesMarked, signalAll } from '../process-table.ts'
import { waitUntil } from '../wait.ts'
import { carryEnvironment, enteringWords } from './entering.ts'
import type { Booted, FoundAccount, Isolation, IsolationFacts, Paths, Removed } from './isolation.ts'
import type { SandboxRecord } from './record.ts'
import type { UserEngineConfig } from './settings.ts'

/** Variable by which a job's processes are known when there is no account to know them by. */
const markName = 'CIDERY_SANDBOX'

/** Without root: a directory of its own for each sandbox, as the agent's own user. Keeps jobs tidy, not apart, and says so. */
export class DirectoryIsolation implements Isolation {
  readonly kind = 'directory'
  readonly mounts = false
  readonly notes = [
    'isolation is only a directory: jobs run as the agent’s own user and can read its files and each other’s; start the agent as root for an account per job',
    'processes of a job are found by their environment: one that clears it can stay behind',
  ]
  readonly #config: UserEngineConfig
  readonly #isRoot: boolean

  constructor(config: UserEngineConfig, isRoot: boolean) {
    this.#config = config
    this.#isRoot = isRoot
  }

  facts(): Promise<IsolationFacts> {
    const broken = this.#isRoot ? ['jobs are not run as root: use account isolation'] : []
    if (findProgram('env') === null) broken.push('the program env is not installed')
    return Promise.resolve({ networks: ['host'], limits: [], broken, weaker: ['this host cannot limit cpu, memory, disk, processes'] })
  }

  user(): string {
    return userInfo().username
  }

  paths(record: SandboxRecord): Paths {
    const home = this.#home(record)
    const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
    return { home, work: `${home}/work`, temporary: `${home}/tmp`, secrets: `${memory}/${this.#name(record)}` }
  }

  uidIsUsed(): Promise<boolean> {
    return Promise.resolve(false)
  }

  build(record: SandboxRecord): Promise<void> {
    const { work, temporary, secrets } = this.paths(record)
    for (const directory of [this.#home(record), work, temporary, secrets]) mkdirSync(directory, { recursive: true, mode: 0o700 })
    return Promise.resolve()
  }

  async boot(record: SandboxRecord): Promise<Booted> {
    await this.build(record)
    return { holder: { pid: 0, startTime: '0', bootId: this.#bootId() }, notes: [] }
  }

  isUp({ holder }: SandboxRecord): boolean {
    return holder !== null && holder.bootId === this.#bootId()
  }

  launch(record: SandboxRecord, command: SandboxCommand): LaunchCommand {
    const [first = '/bin/sh', ...rest] = enteringWords(command, this.paths(record).work)
    return { argv: [first, ...rest], env: { ...carryEnvironment(command.env), [markName]: record.id }, cwd: '/' }
  }

  async end(record: SandboxRecord, graceMs: number): Promise<number> {
    const mark = `${markName}=${record.id}`
    const found = this.#processes(mark)
    if (found.length > 0 && graceMs > 0) {
      signalAll(found, 'SIGTERM')
      await waitUntil(() => this.#processes(mark).length === 0, graceMs)
    }
    await waitUntil(() => {
      const left = this.#processes(mark)
      signalAll(left, 'SIGKILL')
      return left.length === 0
    }, 10_000)
    return found.length
  }

  async clean(record: SandboxRecord): Promise<Removed> {
    const processes = await this.end(record, 0)
    const { home, secrets } = this.paths(record)
    const used = await run(['du', '-sk', home])
    for (const directory of [home, secrets]) {
      // A directory that the job closed against itself has to be opened before it can be emptied.
      await run(['/bin/chmod', '-R', 'u+rwX', directory])
      await run(['/bin/rm', '-rf', directory], { timeoutMs: 300_000 })
    }
    const left = this.#processes(`${markName}=${record.id}`).map(({ pid, command }) => `process ${pid} ${command}`)
    for (const path of [home, secrets]) if (existsSync(path)) left.push(`files ${path}`)
    return { processes, bytes: (Number.parseInt(used.stdout, 10) || 0) * 1024, left }
  }

  accounts(): Promise<readonly FoundAccount[]> {
    return Promise.resolve([])
  }

  strays(known: ReadonlySet<string>): Promise<readonly string[]> {
    const places = `${this.#config.stateDir}/places`
    return Promise.resolve(existsSync(places) ? readdirSync(places).filter((name) => !known.has(name)) : [])
  }

  async removeStray(name: string): Promise<void> {
    await run(['/bin/rm', '-rf', `${this.#config.stateDir}/places/${name}`], { timeoutMs: 300_000 })
  }

  restoreHost(): Promise<void> {
    try {
      rmdirSync(`${this.#config.stateDir}/places`)
    } catch {
      // Still in use, or never made.
    }
    return Promise.resolve()
  }

  #home({ account }: SandboxRecord): string {
    return `${this.#config.stateDir}/places/${account}`
  }

  #name({ id }: SandboxRecord): string {
    return `cidery-${id}`
  }

  #processes(mark: string): ReturnType<typeof processesMarked> {
    return existsSync('/proc/self/environ') ? processesMarked(mark) : []
  }

  #bootId(): string {
    return existsSync('/proc/sys/kernel/random/boot_id') ? bootId() : 'one'
  }
}
