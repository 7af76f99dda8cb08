import { startAgentLoop, type AgentLoop } from '../loop/agent.ts'
import { keyringOf } from '../loop/agent/keyring.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { AgentJournal, AgentPorts, ControllerLink } from '../ports/agent.ts'
import type { Log } from '../ports/log.ts'
import type { Releases } from '../ports/releases.ts'
import { emptyIngredients, memoryBuildLogs } from './build-kit.ts'
import type { Tell } from './happening.ts'
import { mortalPort, mortalTimers, newLife, type Life } from './life.ts'
import { rebootCommand, type Machine } from './machine.ts'
import { namedRandom, seededIds } from './random.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The agent of one machine: a process that may die and is started again by its service manager. */
export interface SimulatedAgent {
  /** The process that runs now; null: none does. */
  life(): Life | null
  start(): void
  /** The machine went down, or the process is killed. */
  kill(): void
  /** Once: the next death is followed by a start after so long. */
  comesBackAfter(ms: Milliseconds): void
}

export interface AgentSurroundings {
  readonly seed: number
  readonly time: VirtualTime
  readonly machine: Machine
  readonly link: ControllerLink
  readonly log: Log
  readonly tell: Tell
  readonly releases: Releases
  readonly lookEveryMs: Milliseconds | undefined
  /** What the journal calls it: `agent`, or `second agent`. */
  readonly called: string
}

const usualRestart: Milliseconds = 5000

export function simulatedAgent(around: AgentSurroundings): SimulatedAgent {
  const { machine, time, tell, log, called } = around
  let starts = 0
  let process: Life | null = null
  let restartAfter = usualRestart

  function start(): void {
    if (process !== null || !machine.isUp()) return
    starts += 1
    const life = newLife()
    process = life
    tell({ kind: 'told', who: machine.name, what: `its ${called} starts` })
    void life.died.then(() => ended(life))
    run(life).catch((error: unknown) => {
      if (!life.alive) return
      log.warn('an agent could not start', { host: machine.name, error })
      life.end()
    })
  }

  function ended(life: Life): void {
    if (process !== life) return
    process = null
    tell({ kind: 'told', who: machine.name, what: `its ${called} ends` })
    time.timers.after(restartAfter, start)
    restartAfter = usualRestart
  }

  async function run(life: Life): Promise<void> {
    const ports = portsOf(life)
    const keyring = keyringOf(ports.journal, ports.random)
    const identity = await ports.journal.identity()
    if (identity !== null) keyring.hold(identity)
    const loop: AgentLoop = await startAgentLoop(ports, {
      agentVersion: '1.0.0',
      bootId: machine.bootId(),
      instanceId: `${machine.name}/${called}/${starts}`,
      os: machine.os,
      keyring,
      blockedAddresses: [],
      rebootCommand,
      hostEnvironment: { PATH: '/bin' },
      bootProbes: true,
      lookEveryMs: around.lookEveryMs,
    })
    await loop.ended
    life.end()
  }

  function portsOf(life: Life): AgentPorts {
    const { clock, supervisors, engines, probe, processes } = machine
    const random = namedRandom(around.seed, `${machine.name}/${called}/${starts}`)
    const journal: AgentJournal = {
      ...machine.journal,
      async saveSeen(seen) {
        await machine.journal.saveSeen(seen)
        tell({ kind: 'obeyed', host: machine.name, ...seen })
      },
    }
    return {
      clock,
      timers: mortalTimers(time.timers, life),
      random,
      ids: seededIds(random, clock),
      link: mortalPort(around.link, life),
      engines: new Map([...engines].map(([name, engine]) => [name, mortalPort(engine, life)])),
      supervisors: mortalPort(supervisors, life),
      journal: mortalPort(journal, life),
      probe,
      processes: mortalPort(processes, life),
      mirrors: { open: () => Promise.reject(new Error('no simulated job has a repository')) },
      releases: around.releases,
      ingredients: emptyIngredients(),
      buildLogs: memoryBuildLogs(),
      log,
    }
  }

  return {
    life: () => process,
    start,
    kill: () => process?.end(),
    comesBackAfter(ms) {
      restartAfter = ms
    },
  }
}
