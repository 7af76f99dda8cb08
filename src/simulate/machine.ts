import { CideryError } from '../model/errors.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { Shape } from '../model/shape.ts'
import type { AgentIdentity, HostProbe, MachineFacts } from '../ports/agent.ts'
import type { LaunchCommand } from '../ports/engine.ts'
import type { Processes, StartedProcess } from '../ports/processes.ts'
import type { Random } from '../ports/random.ts'
import { simulatedEngine, type EngineShape, type SimulatedEngine } from './engine.ts'
import { noMachineFaults, type MachineFaults } from './faults-of-machine.ts'
import type { Tell } from './happening.ts'
import { machineJournal, type MachineJournal } from './machine-journal.ts'
import { between } from './random.ts'
import { simulatedSupervisors, type Program, type SimulatedSupervisors } from './supervisors.ts'
import { localClock, type LocalClock, type VirtualTime } from './virtual-time.ts'

export interface MachineShape {
  readonly name: string
  readonly os: 'linux' | 'macos'
  readonly engines: readonly EngineShape[]
  readonly capacity: Shape
}

/** One machine of the fleet, without its agent: what is really there, and what outlives the agent. */
export interface Machine {
  readonly name: string
  readonly os: MachineShape['os']
  readonly clock: LocalClock
  readonly faults: MachineFaults
  readonly journal: MachineJournal
  readonly supervisors: SimulatedSupervisors
  readonly engines: ReadonlyMap<EngineName, SimulatedEngine>
  readonly probe: HostProbe
  readonly processes: Processes
  bootId(): string
  isUp(): boolean
  /** Loses power, or is told to restart: comes back after a while, as another boot. `up` is called then. */
  restart(downMs: Milliseconds): void
}

export interface MachineSurroundings {
  readonly time: VirtualTime
  readonly random: Random
  readonly tell: Tell
  readonly identity: AgentIdentity
  readonly programOf: (words: readonly string[]) => Program
  /** The machine went down: its agent is gone. */
  readonly down: () => void
  readonly up: () => void
}

/** What the agent runs to restart its machine. */
export const rebootCommand: readonly [string, ...string[]] = ['simulated-reboot']
const rebootTakes: readonly [Milliseconds, Milliseconds] = [40_000, 150_000]

export function createMachine(shape: MachineShape, around: MachineSurroundings): Machine {
  const { time, random, tell } = around
  const { timers } = time
  const clock = localClock(time.clock)
  const faults = noMachineFaults()
  const journal = machineJournal(around.identity, () => faults.diskFull)
  const supervisors = simulatedSupervisors({ clock, timers }, { host: shape.name, tell, programOf: around.programOf })
  const engines = new Map(
    shape.engines.map((engine) => [
      engine.name,
      simulatedEngine(engine, { host: shape.name, clock, timers, random, faults, tell, cutOff: supervisors.sandboxDied }),
    ]),
  )
  let boots = 1
  let up = true

  function restart(downMs: Milliseconds): void {
    if (!up) return
    up = false
    around.down()
    supervisors.machineDown()
    for (const engine of engines.values()) engine.machineDown()
    faults.ghostSlots = 0
    tell({ kind: 'machineDown', host: shape.name })
    timers.after(downMs, () => {
      boots += 1
      up = true
      tell({ kind: 'machineUp', host: shape.name })
      around.up()
    })
  }

  function facts(): MachineFacts {
    const { capacity } = shape
    const diskMiB = faults.diskFull ? 0 : Math.round(capacity.diskMiB * 0.8)
    return {
      hostname: shape.name,
      os: shape.os,
      osVersion: 'simulated',
      arch: 'arm64',
      capacity,
      free: { cpu: capacity.cpu, memoryMiB: Math.round(capacity.memoryMiB * 0.9), diskMiB },
      load1: 0.5,
      diskUsed: faults.diskFull ? 1 : 0.2,
      memoryFree: 0.9,
      network: { addresses: ['10.0.0.2'], rxBytes: 0, txBytes: 0 },
      problems: [],
      tcpSockets: 10,
    }
  }

  /** A short command inside a sandbox, or the one that restarts the machine. */
  async function start(launch: LaunchCommand): Promise<StartedProcess> {
    const [program, sandbox = ''] = launch.argv
    if (program === rebootCommand[0]) {
      tell({ kind: 'rebootAsked', host: shape.name, runs: supervisors.alive() })
      timers.after(1000, () => restart(between(random, ...rebootTakes)))
      return ended(0)
    }
    if (program !== 'inside') throw new CideryError('ENGINE_FAILED', `there is no program ${program}`)
    await timers.sleep(between(random, 20, 200))
    const answers = [...engines.values()].some((engine) => engine.answers(sandbox))
    return ended(answers ? 0 : 255)
  }

  return {
    name: shape.name,
    os: shape.os,
    clock,
    faults,
    journal,
    supervisors,
    engines,
    probe: { bootId: async () => `boot-${boots}`, facts: async () => facts() },
    processes: { start },
    bootId: () => `boot-${boots}`,
    isUp: () => up,
    restart,
  }
}

/** The same machine as another account of it sees it, that has a copy of the agent's identity: nothing of its sandboxes and commands. */
export function otherAccountOf(machine: Machine, identity: AgentIdentity): Machine {
  const { supervisors } = machine
  return {
    ...machine,
    journal: machineJournal(identity, () => machine.faults.diskFull),
    engines: new Map(),
    supervisors: {
      ...supervisors,
      start: () => Promise.reject(new CideryError('ENGINE_FAILED', 'nothing runs in this account')),
      inspect: async () => ({ state: 'none' }),
      wait: async () => ({ state: 'none' }),
      cancel: async () => undefined,
      remove: async () => undefined,
      readLog: async () => new Uint8Array(),
      logLength: async () => 0,
      programs: async () => [],
      list: async () => [],
      alive: () => [],
    },
  }
}

function ended(code: number): StartedProcess {
  async function* nothing(): AsyncGenerator<Uint8Array> {
    // No output.
  }
  return {
    pid: 1,
    output: nothing(),
    ended: Promise.resolve({ code, signal: null }),
    errorTail: () => (code === 0 ? '' : 'the sandbox does not answer'),
    write: async () => undefined,
    closeInput: () => undefined,
    stop: async () => undefined,
  }
}
