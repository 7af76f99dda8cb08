import { keyHash } from '../loop/agent/keyring.ts'
import type { Event } from '../model/event.ts'
import type { HostId } from '../model/id.ts'
import type { Milliseconds } from '../model/instant.ts'
import type { Spec } from '../model/spec.ts'
import { readSpecFile } from '../observe/spec-file.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Decider } from '../ports/decider.ts'
import type { Log } from '../ports/log.ts'
import type { Releases } from '../ports/releases.ts'
import type { Clock } from '../ports/time.ts'
import { insertHost } from '../record/enrolments.ts'
import { migrate } from '../record/migrate.ts'
import { setSecret } from '../record/secrets.ts'
import { applySpec } from '../record/specs.ts'
import { simulatedAgent } from './agents.ts'
import { memoryBlobs } from './blobs.ts'
import { simulatedBox, simulatedController, type Rules } from './controllers.ts'
import type { FleetHost, SimulatedFleet } from './fleet-parts.ts'
import type { Happening } from './happening.ts'
import { createLine } from './line.ts'
import { simulatedLink } from './link.ts'
import { createMachine, otherAccountOf } from './machine.ts'
import { simulatedPeople } from './people.ts'
import { programOf, secretValue } from './programs.ts'
import { namedRandom, seededIds } from './random.ts'
import type { Scenario, ScenarioHost } from './scenario.ts'
import { openSharedStore, type Look, type OpenStore } from './shared-store.ts'
import { virtualTime, type VirtualTime } from './virtual-time.ts'

/** What a simulation gets from outside: real drivers that run in memory, and the turn of the event loop. */
export interface SimulationDrivers {
  readonly openStore: (time: Pick<VirtualTime, 'clock' | 'timers'>) => OpenStore
  readonly newDecider: (rules: Rules) => Decider
  /** The clock that a controller makes of its machine's when it starts. */
  readonly newControllerClock: (clock: Clock) => Clock
  readonly releases: Releases
  readonly turn: () => Promise<void>
}

export interface FleetOptions {
  readonly drivers: SimulationDrivers
  /** Told of everything that really happens, at the moment it does. */
  readonly tell: (happening: Happening, time: VirtualTime) => void
  readonly log: Log
  /** Told which name an id has in the scenario. */
  readonly named: (id: string, name: string) => void
  /** How often agents and controller look when nothing tells them to; default: as in the field. Without faults there is nothing to find then. */
  readonly lookEveryMs?: Milliseconds | undefined
  /** Changes the rules of deciding; for mutants. */
  readonly alterRules?: (rules: Rules) => Rules
}

export interface BuiltFleet extends SimulatedFleet {
  readonly time: VirtualTime
  readonly blobs: Blobs
  readonly spec: Spec
  /** Looks at the committed rows; null before the first commit. */
  look(): Look | null
}

interface EventRow {
  readonly row: number
  readonly epoch: number
  readonly doc: string
}

/** Builds the fleet of a scenario, with nothing started yet. */
export async function buildFleet(scenario: Scenario, options: FleetOptions): Promise<BuiltFleet> {
  const { drivers, log } = options
  const time = virtualTime({ turn: drivers.turn })
  const tell = (happening: Happening): void => options.tell(happening, time)
  const spec = readSpecFile(scenario.spec, 'the spec of the scenario')
  const blobs = memoryBlobs({ now: time.clock.now })
  let look: Look | null = null
  let lastRow = 0

  function committed(looking: Look): void {
    look = looking
    const rows = looking('select rowid as row, epoch, doc from events where rowid > ? order by rowid', [lastRow]) as EventRow[]
    const last = rows.at(-1)
    if (last !== undefined) lastRow = last.row
    tell({ kind: 'committed', look: looking, events: rows.map(({ doc, epoch }) => ({ ...(JSON.parse(doc) as Event), epoch })) })
  }

  const store = await openSharedStore(drivers.openStore(time), { timers: time.timers, committed })
  await migrate(store.own, { clock: time.clock })
  const specs = new Map<string, Spec>()
  const controllers = Array.from({ length: scenario.controllers }, (_, index) =>
    simulatedController({
      name: `controller-${index + 1}`,
      seed: scenario.seed,
      time,
      store,
      blobs,
      log,
      tell,
      named: options.named,
      alone: scenario.controllers === 1,
      lookEveryMs: options.lookEveryMs,
      // What people apply is a spec that was read already; its text is only a name here.
      parseSpec: (source) => specs.get(source) ?? readSpecFile(source, 'a stored spec'),
      newDecider: drivers.newDecider,
      newClock: drivers.newControllerClock,
      ...(options.alterRules === undefined ? {} : { alterRules: options.alterRules }),
    }),
  )
  const people = simulatedPeople({
    time,
    controllers,
    tell,
    spec,
    ids: seededIds(namedRandom(scenario.seed, 'people'), time.clock),
    named: options.named,
    keepSpec: (text, edited) => void specs.set(text, edited),
  })
  const ids = seededIds(namedRandom(scenario.seed, 'hosts'), time.clock)
  const hosts = new Map<string, FleetHost>(scenario.hosts.map((host) => [host.name, addHost(host, ids.next('host'))]))

  function addHost(shape: ScenarioHost, id: HostId): FleetHost {
    const key = `cidery_key_of_${shape.name}`
    const line = createLine(time.timers, namedRandom(scenario.seed, `${shape.name}/line`))
    const identity = { hostId: id, name: shape.name, controllerUrl: 'http://127.0.0.1:1', caFingerprint: null, key, nextKey: null }
    const machine = createMachine(shape, {
      time,
      tell,
      programOf,
      random: namedRandom(scenario.seed, `${shape.name}/machine`),
      identity,
      down() {
        agent.kill()
        second.kill()
      },
      up: () => agent.start(),
    })
    const link = simulatedLink({ host: { id, name: shape.name }, line, timers: time.timers, controllers, tell })
    const around = { seed: scenario.seed, time, link, log, tell, releases: drivers.releases, lookEveryMs: options.lookEveryMs }
    const agent = simulatedAgent({ ...around, machine, called: 'agent' })
    const second = simulatedAgent({ ...around, machine: otherAccountOf(machine, identity), called: 'second agent' })
    options.named(id, shape.name)
    return { id, machine, agent, second, line }
  }

  await store.own.write(async (tx) => {
    await applySpec(tx, { generation: 1, source: scenario.spec, appliedAt: time.clock.now(), appliedBy: 'user:operator' })
    for (const { name, pool, labels } of scenario.hosts) {
      const id = hosts.get(name)?.id
      if (id === undefined) continue
      await insertHost(tx, { id, name, pool, labels, keyHash: keyHash(`cidery_key_of_${name}`), at: time.clock.now() })
    }
    for (const queue of Object.keys(spec.queues))
      await setSecret(tx, { queue, name: 'TOKEN', setBy: 'user:operator', setAt: time.clock.now(), value: secretValue }, simulatedBox)
  })

  return {
    time,
    blobs,
    spec,
    hosts,
    controllers,
    store,
    people,
    look: () => look,
    host(name) {
      const found = hosts.get(name)
      if (found === undefined) throw new Error(`the scenario has no host ${name}`)
      return found
    },
  }
}
