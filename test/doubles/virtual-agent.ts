import { startAgentLoop, type AgentLoop, type AgentLoopOptions } from '../../src/loop/agent.ts'
import { defaultAgentSettings } from '../../src/loop/agent/default-settings.ts'
import { keyHash, keyringOf } from '../../src/loop/agent/keyring.ts'
import { formatId } from '../../src/model/id.ts'
import { JobSpec, type EngineName } from '../../src/model/job.ts'
import type { OperationRequest } from '../../src/model/operation.ts'
import type { AgentSettings, DesiredAttempt, DesiredOperation } from '../../src/model/sync.ts'
import type { AgentPorts } from '../../src/ports/agent.ts'
import type { Engine } from '../../src/ports/engine.ts'
import { emptyIngredients, memoryBuildLogs } from '../../src/simulate/build-kit.ts'
import { seededIds, seededRandom } from '../../src/simulate/random.ts'
import { fakeController, type FakeController } from './fake-controller.ts'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'
import { fakeHost, idleProcesses, noMirrors, testRelease, type FakeHost } from './fake-host.ts'
import { fakeSupervisors, type FakeSupervisors, type Program } from './fake-supervisors.ts'
import { memoryJournal, testIdentity } from './memory-journal.ts'
import { mortalPorts, newLife, type Life } from './mortal.ts'
import { recordingLog } from './recording-log.ts'
import { virtualTime, type VirtualTime } from './virtual-time.ts'

export const testSettings: AgentSettings = {
  ...defaultAgentSettings,
  engines: { user: { slots: null, limits: 'enforced', networks: ['nat', 'none'] } },
}

/** A whole host in virtual time: machine, engine, supervisors and journal outlive the agent, which a test can start, stop and start again. */
export interface VirtualAgent {
  readonly time: VirtualTime
  readonly controller: FakeController
  readonly engine: FakeEngine
  readonly supervisors: FakeSupervisors
  readonly host: FakeHost
  readonly ports: AgentPorts
  readonly log: ReturnType<typeof recordingLog>
  /** Starts an agent process. */
  start(options?: Partial<AgentLoopOptions>): Promise<AgentLoop>
  /** The agent is stopped in order; everything else goes on. */
  kill(): Promise<void>
  /** The agent dies at this very moment: what it was about to do or write never happens. */
  crash(): Promise<void>
  /** Starts an agent that dies at its nth call of a port; resolves when it is dead, or after `limitMs`. */
  startAndDie(calls: number, when: 'before' | 'after', limitMs: number): Promise<void>
}

export function virtualAgent(programOf: (words: readonly string[]) => Program = () => ({ runsMs: 1000 }), seed = 1): VirtualAgent {
  const time = virtualTime()
  const random = seededRandom(seed)
  const controller = fakeController(time, testSettings)
  const engine = fakeEngine(time)
  const supervisors = fakeSupervisors(time, (run) => programOf(run.launch.argv))
  const host = fakeHost()
  const log = recordingLog()
  const journal = memoryJournal(testIdentity())
  controller.keys.add(keyHash(testIdentity().key))
  const engines = new Map<EngineName, Engine>([['user', engine]])
  const world = { clock: time.clock, timers: time.timers, random, ids: seededIds(random, time.clock), supervisors, probe: host.probe, log }
  const ports: AgentPorts = {
    ...world,
    link: controller.link,
    engines,
    journal,
    processes: idleProcesses(),
    mirrors: noMirrors,
    releases: testRelease,
    ingredients: emptyIngredients(),
    buildLogs: memoryBuildLogs(),
  }
  let instances = 0
  let running: AgentLoop | undefined
  let life = newLife()

  async function begin(options: Partial<AgentLoopOptions>, prepare: (life: Life) => void): Promise<Life> {
    instances += 1
    const born = newLife()
    life = born
    running = undefined
    const own = mortalPorts(ports, born)
    const keyring = keyringOf(own.journal, random)
    const identity = await journal.identity()
    if (identity !== null) keyring.hold(identity)
    controller.keyShown = () => keyring.present()
    prepare(born)
    const fixed = { agentVersion: '1.0.0', bootId: host.bootId, instanceId: `instance-${instances}`, os: 'linux' as const, keyring }
    const asked = { blockedAddresses: ['10.0.0.1'], rebootCommand: null, hostEnvironment: { PATH: '/bin' }, bootProbes: false, ...options }
    void startAgentLoop(own, { ...fixed, ...asked }).then((loop) => (running = loop))
    await time.until(() => running !== undefined || !born.alive, 600_000)
    await time.settle()
    return born
  }

  return {
    time,
    async startAndDie(calls, when, limitMs) {
      const born = await begin({}, (next) => next.endAtCall(calls, when))
      if (born.alive) await time.until(() => !born.alive, limitMs).catch(() => undefined)
      born.end()
      running = undefined
      await time.settle()
    },
    async crash() {
      life.end()
      running = undefined
      await time.settle()
    },
    controller,
    engine,
    supervisors,
    host,
    ports,
    log,
    async start(options = {}) {
      await begin(options, () => undefined)
      if (running === undefined) throw new Error('the agent did not start')
      return running
    },
    async kill() {
      const stopping = running?.stop()
      await time.advance(20_000)
      await stopping
      running = undefined
    },
  }
}

let made = 0

function nextId<K extends 'att' | 'job' | 'op' | 'sbx'>(kind: K): ReturnType<typeof formatId<K>> {
  made += 1
  return formatId(kind, made, new Uint8Array(16))
}

/** An attempt as a controller assigns it. */
export function desiredAttempt(spec: Partial<JobSpec> & { readonly timeoutS?: number } = {}): DesiredAttempt {
  const parsed = JobSpec.parse({ ...(spec.script === undefined ? { command: ['make'] } : {}), ...spec })
  const job = {
    spec: parsed,
    engine: 'user' as const,
    image: null,
    shape: { cpu: 1, memoryMiB: 1024, diskMiB: 1024 },
    timeoutS: spec.timeoutS ?? 3600,
    retries: 2,
    network: 'nat' as const,
    logBytes: 1024 ** 3,
  }
  return {
    id: nextId('att'),
    jobId: nextId('job'),
    generation: 1,
    job,
    queue: 'default',
    want: 'run',
    cancelBy: null,
    number: 1,
    build: null,
  }
}

export function desiredOperation(
  request: OperationRequest,
  limits: { readonly warningMs?: number; readonly hardMs?: number } = {},
): DesiredOperation {
  return { id: nextId('op'), generation: 1, request, want: 'run', warningMs: limits.warningMs ?? 300_000, hardMs: limits.hardMs ?? 900_000 }
}
