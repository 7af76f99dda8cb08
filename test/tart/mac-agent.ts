import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { makeTartEngine } from '../../src/drivers/engines/tart/index.ts'
import { hostProbes } from '../../src/drivers/host-probes/registry.ts'
import { openFolderJournal } from '../../src/drivers/journals/folder/folder-journal.ts'
import { createHttpLink, type HttpLink } from '../../src/drivers/links/http/controller-link.ts'
import { gitMirrors } from '../../src/drivers/mirrors/git/git-mirrors.ts'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { createIds } from '../../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { DetachedSupervisors } from '../../src/drivers/supervisors/detached/supervisors.ts'
import { startAgentLoop, type AgentLoop } from '../../src/loop/agent.ts'
import { keyringOf } from '../../src/loop/agent/keyring.ts'
import { enrol } from '../../src/loop/agent/start.ts'
import { supervisorEntry } from '../../src/main/supervisor-entry.ts'
import type { AgentPorts } from '../../src/ports/agent.ts'
import { emptyIngredients, memoryBuildLogs } from '../../src/simulate/build-kit.ts'
import { testRelease } from '../doubles/fake-host.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { settingsFor } from './engine-lab.ts'
import { TartLab } from './lab.ts'

/** A Mac of the double in a fleet: a real agent over real drivers, of which only the machine's boot and its restart are the double's. */
export class MacAgent {
  readonly lab = new TartLab()
  readonly log = recordingLog()
  readonly #name: string
  readonly #controller: string
  #folder = ''
  #link: HttpLink | undefined
  #loop: AgentLoop | undefined
  #supervisors: DetachedSupervisors | undefined

  constructor(name: string, controllerUrl: string) {
    this.#name = name
    this.#controller = controllerUrl
  }

  async open(images: readonly string[]): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'cidery-mac-'))
    for (const image of images) await this.lab.tart(['pull', image])
  }

  /** Starts the agent as the machine does at its start; the token is for its first. */
  async start(token: string | null): Promise<void> {
    const clock = createSystemClock()
    const random = createSystemRandom()
    const processes = new LocalProcesses()
    const journal = await openFolderJournal(join(this.#folder, 'journal'))
    const keyring = keyringOf(journal, random)
    const target = { url: this.#controller, caFingerprint: null }
    this.#link = createHttpLink({ ...target, allowPlainHttp: true, key: () => keyring.present() })
    this.#supervisors = new DetachedSupervisors({ directory: join(this.#folder, 'supervisors'), entry: supervisorEntry })
    const ports: AgentPorts = {
      clock,
      random,
      journal,
      processes,
      link: this.#link,
      timers: createSystemTimers(),
      ids: createIds(clock, random),
      engines: new Map([['tart', makeTartEngine(settingsFor(this.lab, { slots: 2, ghostSeconds: 2 }))]]),
      supervisors: this.#supervisors,
      probe: hostProbes.linux(this.#folder),
      mirrors: gitMirrors({ folder: join(this.#folder, 'mirrors'), processes }),
      releases: testRelease,
      ingredients: emptyIngredients(),
      buildLogs: memoryBuildLogs(),
      log: this.log,
    }
    const names = { hostname: this.#name, os: 'macos' as const, arch: 'arm64' as const }
    const enrolment = token === null ? null : { token, controllerUrl: this.#controller, caFingerprint: null, ...names }
    await enrol(ports, keyring, { enrolment, signal: new AbortController().signal })
    this.#loop = await startAgentLoop(ports, {
      agentVersion: '1.0.0',
      bootId: this.lab.bootId(),
      instanceId: Buffer.from(random.bytes(6)).toString('hex'),
      os: 'macos',
      keyring,
      blockedAddresses: [],
      rebootCommand: [process.execPath, join(import.meta.dirname, '../doubles/tart/restart-host.child.ts')],
      hostEnvironment: this.lab.environment,
      bootProbes: true,
    })
  }

  /** The agent goes as the machine does. */
  async stop(): Promise<void> {
    await this.#loop?.stop()
    this.#loop = undefined
    this.#link?.close()
  }

  async remove(): Promise<void> {
    await this.stop()
    for (const id of (await this.#supervisors?.list()) ?? []) await this.#supervisors?.remove(id)
    this.lab.restart()
    await rm(this.#folder, { recursive: true, force: true })
    await this.lab.remove()
  }
}
