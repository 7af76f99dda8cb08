import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSystemClock } from '../../src/drivers/clocks/system-clock.ts'
import { createSystemTimers } from '../../src/drivers/clocks/system-timers.ts'
import { makeUserEngine } from '../../src/drivers/engines/user/index.ts'
import { hostProbes } from '../../src/drivers/host-probes/registry.ts'
import { openFolderJournal } from '../../src/drivers/journals/folder/folder-journal.ts'
import { gitMirrors } from '../../src/drivers/mirrors/git/git-mirrors.ts'
import { LocalProcesses } from '../../src/drivers/processes/local-processes.ts'
import { createIds } from '../../src/drivers/randoms/ids.ts'
import { createSystemRandom } from '../../src/drivers/randoms/system-random.ts'
import { DetachedSupervisors } from '../../src/drivers/supervisors/detached/supervisors.ts'
import { startAgentLoop, type AgentLoop, type AgentLoopOptions } from '../../src/loop/agent.ts'
import { keyHash, keyringOf } from '../../src/loop/agent/keyring.ts'
import { supervisorEntry } from '../../src/main/supervisor-entry.ts'
import type { EngineName } from '../../src/model/job.ts'
import type { AgentPorts } from '../../src/ports/agent.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { emptyIngredients, memoryBuildLogs } from '../../src/simulate/build-kit.ts'
import { fakeController, type FakeController } from '../doubles/fake-controller.ts'
import { testRelease } from '../doubles/fake-host.ts'
import { testIdentity } from '../doubles/memory-journal.ts'
import { recordingLog } from '../doubles/recording-log.ts'
import { testSettings } from '../doubles/virtual-agent.ts'

/** An agent on this very machine, over real drivers; only the controller is a double. */
export interface RealAgent {
  readonly folder: string
  readonly controller: FakeController
  readonly engine: Engine
  readonly ports: AgentPorts
  readonly log: ReturnType<typeof recordingLog>
  start(options?: Partial<AgentLoopOptions>): Promise<AgentLoop>
  stop(): Promise<void>
  /** Stops the agent and removes all that it made. */
  remove(): Promise<void>
}

/**
 * An account per job as root, else a directory per job. Each test file uses accounts and addresses of its own, so that files may run side by side.
 */
export async function realAgent(place: number): Promise<RealAgent> {
  const folder = await mkdtemp(join(tmpdir(), 'cidery-agent-'))
  const clock = createSystemClock()
  const timers = createSystemTimers()
  const random = createSystemRandom()
  const processes = new LocalProcesses()
  const log = recordingLog()
  const controller = fakeController({ clock, timers }, { ...testSettings, cancelGraceMs: 2000 })
  const own = {
    prefix: `ta${place}-`,
    uidRange: [700_000 + place * 1000, 700_999 + place * 1000] as const,
    netRange: `198.19.${place}.0/24`,
  }
  const engine = makeUserEngine({ stateDir: join(folder, 'engine'), hiddenDirs: [folder], ...own })
  const journal = await openFolderJournal(join(folder, 'journal'))
  await journal.saveIdentity(testIdentity())
  controller.keys.add(keyHash(testIdentity().key))
  const supervisors = new DetachedSupervisors({ directory: join(folder, 'supervisors'), entry: supervisorEntry })
  const probe = (process.platform === 'darwin' ? hostProbes.darwin : hostProbes.linux)(folder)
  const mirrors = gitMirrors({ folder: join(folder, 'mirrors'), processes })
  const engines = new Map<EngineName, Engine>([['user', engine]])
  const ports: AgentPorts = {
    clock,
    timers,
    random,
    ids: createIds(clock, random),
    link: controller.link,
    engines,
    supervisors,
    journal,
    probe,
    processes,
    mirrors,
    releases: testRelease,
    ingredients: emptyIngredients(),
    buildLogs: memoryBuildLogs(),
    log,
  }
  let running: AgentLoop | undefined

  return {
    folder,
    controller,
    engine,
    ports,
    log,
    async start(options = {}) {
      const keyring = keyringOf(journal, random)
      const identity = await journal.identity()
      if (identity !== null) keyring.hold(identity)
      controller.keyShown = () => keyring.present()
      const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/root' }
      const base = {
        agentVersion: '1.0.0',
        bootId: await probe.bootId(),
        instanceId: Buffer.from(random.bytes(6)).toString('hex'),
        os: 'linux' as const,
      }
      running = await startAgentLoop(ports, {
        ...base,
        keyring,
        blockedAddresses: [],
        rebootCommand: null,
        hostEnvironment: env,
        bootProbes: false,
        ...options,
      })
      return running
    },
    async stop() {
      await running?.stop()
      running = undefined
    },
    async remove() {
      await running?.stop()
      for (const id of await supervisors.list()) await supervisors.remove(id)
      for (const sandbox of await engine.list()) {
        await engine.stop(sandbox.id, 0)
        await engine.destroy(sandbox.id)
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Polls until `condition` gives something, at most `limitMs`. */
export async function until<T>(
  condition: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  limitMs = 30_000,
): Promise<T> {
  const end = performance.now() + limitMs
  for (;;) {
    const found = await condition()
    if (found !== undefined && found !== null && found !== false) return found
    if (performance.now() > end) throw new Error(`not so within ${limitMs} ms: ${String(condition)}`)
    await new Promise((resolve) => void setTimeout(resolve, 20))
  }
}
