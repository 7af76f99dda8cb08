import { startAgentLoop, type AgentLoop } from '../../src/loop/agent.ts'
import { keyringOf } from '../../src/loop/agent/keyring.ts'
import type { HostId } from '../../src/model/id.ts'
import type { AgentPorts } from '../../src/ports/agent.ts'
import { emptyIngredients, memoryBuildLogs } from '../../src/simulate/build-kit.ts'
import { seededIds, seededRandom } from '../../src/simulate/random.ts'
import type { Fleet } from './controller-fleet.ts'
import { fakeEngine, type FakeEngine } from './fake-engine.ts'
import { fakeHost, idleProcesses, noMirrors, testRelease } from './fake-host.ts'
import { fakeSupervisors, type FakeSupervisors, type Program } from './fake-supervisors.ts'
import { inProcessLink } from './in-process-link.ts'
import { memoryJournal, testIdentity } from './memory-journal.ts'

/** A machine with the real agent's loop over fake engine, supervisors and probe, linked to a controller in the same process. */
export interface LinkedHost {
  readonly engine: FakeEngine
  readonly supervisors: FakeSupervisors
  /** Starts the real agent loop, as a process of this host. */
  startAgent(): Promise<void>
  /** The agent process is gone; machine, sandboxes, supervisors and journal stay. */
  killAgent(): Promise<void>
}

/** The fake engine counts a disk limit and cannot enforce it. */
export const linkedSpec = { pools: { default: { engines: { user: { limits: 'advisory' } } } } }

const facts = { cpu: 8, memoryMiB: 16_384, diskMiB: 100_000 }

export async function addLinkedHost(
  fleet: Fleet,
  name: string,
  programOf: (words: readonly string[]) => Program = () => ({ runsMs: 1000 }),
): Promise<LinkedHost> {
  const hostId: HostId = await fleet.enrol(name)
  const { clock, timers } = fleet.time
  const random = seededRandom(7)
  const engine = fakeEngine({ clock, timers })
  const supervisors = fakeSupervisors({ clock, timers }, (run) => programOf(run.launch.argv))
  const machine = fakeHost()
  machine.facts = { ...machine.facts, hostname: name, capacity: facts, free: facts }
  const journal = memoryJournal(testIdentity({ hostId, name }))
  const ports: AgentPorts = {
    clock,
    timers,
    random,
    journal,
    supervisors,
    ids: seededIds(random, clock),
    link: inProcessLink(fleet, hostId),
    engines: new Map([['user', engine]]),
    probe: machine.probe,
    processes: idleProcesses(),
    mirrors: noMirrors,
    releases: testRelease,
    ingredients: emptyIngredients(),
    buildLogs: memoryBuildLogs(),
    log: fleet.log,
  }
  let instances = 0
  let loop: AgentLoop | null = null
  return {
    engine,
    supervisors,
    async startAgent() {
      instances += 1
      const keyring = keyringOf(journal, random)
      const identity = await journal.identity()
      if (identity !== null) keyring.hold(identity)
      const starting = startAgentLoop(ports, {
        agentVersion: '1.0.0',
        bootId: machine.bootId,
        instanceId: `${name}-${instances}`,
        os: 'linux',
        keyring,
        blockedAddresses: [],
        rebootCommand: null,
        hostEnvironment: { PATH: '/bin' },
        bootProbes: true,
      })
      await fleet.time.advance(10_000)
      loop = await starting
    },
    async killAgent() {
      const stopping = loop?.stop()
      await fleet.time.advance(20_000)
      await stopping
      loop = null
    },
  }
}
