import { hour, minute, second } from '../../model/instant.ts'
import type { Instant, Milliseconds } from '../../model/instant.ts'
import { engineNames } from '../../model/job.ts'
import type { Attempt } from '../../model/job.ts'
import type { SimulatedHosts } from '../../model/simulation.ts'
import { networkModes } from '../../model/spec.ts'
import type { TraceJob } from '../../model/trace.ts'
import type { Log } from '../../ports/log.ts'
import { attemptsOfJobs } from '../../record/attempts.ts'
import { buildFleet } from '../fleet.ts'
import type { BuiltFleet, SimulationDrivers } from '../fleet.ts'
import { Scenario } from '../scenario.ts'
import { simulatedEpoch } from '../virtual-time.ts'
import type { Replayed, ReplayedJob, ReplayScenario, WaitingSample } from './replayed.ts'
import { withoutWatching } from './watchless.ts'

/** Before the first job comes: hosts enrol, prove that they boot, and keep warm what they should. */
const leadIn: Milliseconds = 20 * minute
/** How often it is looked at what jobs wait for. */
const sampleEvery: Milliseconds = 5 * second
/** What changes is told at once: looks that nothing asked for only find faults, and there are none. */
const lookEvery: Milliseconds = minute
/** With nothing that ends for longer than the longest job and this, the rest never starts. */
const patience: Milliseconds = 2 * hour

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Replays a trace on a whole fleet in virtual time: the real controller, agents and store, without any fault. */
export async function replayOnFleet(
  { source, hosts, jobs, seed }: ReplayScenario,
  { drivers, ended }: { readonly drivers: SimulationDrivers; readonly ended: (count: number) => void },
): Promise<Replayed> {
  const first = jobs[0]?.submittedAt ?? 0
  const shift = first - leadIn - simulatedEpoch
  const scenario = Scenario.parse({
    seed,
    durationMs: 1,
    calmMs: 0,
    spec: withoutWatching(source),
    hosts: hosts.flatMap(hostsOf),
    jobs: jobs.map((job, index) => jobOf(job, { key: keyOf(index), at: leadIn + job.submittedAt - first })),
  })
  let count = 0
  let lastEnd: Milliseconds = 0
  const fleet = await buildFleet(scenario, {
    drivers,
    log: silent,
    lookEveryMs: lookEvery,
    named: () => undefined,
    tell(happening, time) {
      if (happening.kind !== 'committed') return
      const more = happening.events.filter(({ kind }) => kind === 'job.ended').length
      if (more === 0) return
      count += more
      lastEnd = time.elapsed()
      ended(count)
    },
  })
  const samples = watchWaiting(fleet, { shift, goesOn: () => count < jobs.length })
  for (const controller of fleet.controllers) controller.start()
  for (const { agent } of fleet.hosts.values()) agent.start()
  for (const job of scenario.jobs) fleet.time.timers.after(job.at, () => fleet.people.submit(job))
  const longest = jobs.reduce((most, { runsMs }) => Math.max(most, runsMs), 0)
  const lastComes = leadIn + (jobs.at(-1)?.submittedAt ?? first) - first
  await fleet.time.runTo(
    Number.MAX_SAFE_INTEGER,
    () => count >= jobs.length || fleet.time.elapsed() > Math.max(lastComes, lastEnd) + longest + patience,
  )
  const replayed = await jobsOf(fleet, jobs, { shift, pools: new Map(scenario.hosts.map(({ name, pool }) => [name, pool])) })
  await fleet.store.own.close()
  return { jobs: replayed, samples }
}

function keyOf(index: number): string {
  return `job-${index + 1}`
}

function hostsOf({ pool, count, engines, capacity }: SimulatedHosts): readonly object[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${pool}-${index + 1}`,
    pool,
    os: engines.tart === undefined ? 'linux' : 'macos',
    capacity,
    engines: engineNames.flatMap((name) => {
      const engine = engines[name]
      if (engine === undefined) return []
      const { slots, bootMs, images } = engine
      return [{ name, slots, images, bootMs: [bootMs, bootMs], workMs: [0, 0], networks: networkModes, warms: name === 'qemu' }]
    }),
  }))
}

function jobOf(job: TraceJob, { key, at }: { readonly key: string; readonly at: Milliseconds }): object {
  const { queue, engine, image, labels, shape, priority, runsMs, exitCode } = job
  return {
    at,
    key,
    queue,
    labels,
    shape,
    priority,
    runsMs,
    code: exitCode,
    logBytes: 0,
    // What ran to its end then is not cut off now.
    timeoutS: Math.min(604_800, Math.ceil(runsMs / second) + 3600),
    ...(engine === null ? {} : { engine }),
    ...(image === null ? {} : { image }),
  }
}

interface Watch {
  /** From the clock of the simulation to that of the trace. */
  readonly shift: Milliseconds
  readonly goesOn: () => boolean
}

/** Notes what jobs wait for whenever that changes, as far as looks at a time apart can tell. */
function watchWaiting(fleet: BuiltFleet, { shift, goesOn }: Watch): readonly WaitingSample[] {
  const samples: WaitingSample[] = []
  const [controller] = fleet.controllers
  let seen: unknown = null
  function look(): void {
    const plan = controller?.serving()?.core.loop.plan()
    if (plan !== undefined && plan.waiting !== seen) {
      seen = plan.waiting
      samples.push({ at: fleet.time.clock.now() + shift, waiting: plan.waiting.filter(({ subject }) => /^(?:class|job)\//.test(subject)) })
    }
    if (goesOn()) fleet.time.timers.after(sampleEvery, look)
  }
  fleet.time.timers.after(leadIn, look)
  return samples
}

interface Told {
  readonly shift: Milliseconds
  readonly pools: ReadonlyMap<string, string>
}

/** What the store says of each job in the end. */
async function jobsOf(fleet: BuiltFleet, jobs: readonly TraceJob[], { shift, pools }: Told): Promise<readonly ReplayedJob[]> {
  const ids = jobs.flatMap((_, index) => fleet.people.accepted.get(keyOf(index)) ?? [])
  const attempts = await fleet.store.own.read((db) => attemptsOfJobs(db, ids))
  const names = new Map([...fleet.hosts].map(([name, { id }]) => [id as string, name]))
  const moved = (at: Instant | undefined): Instant | null => (at === undefined ? null : at + shift)
  return jobs.map((job, index) => {
    const all: readonly Attempt[] = attempts.get(fleet.people.accepted.get(keyOf(index)) ?? '') ?? []
    const last = all.at(-1)
    return {
      job,
      pool: pools.get(names.get(last?.hostId ?? '') ?? '') ?? null,
      assignedAt: moved(last?.times.assigned),
      startedAt: moved(last?.times.running),
      endedAt: moved(last?.times.ended),
      attempts: all.length,
    }
  })
}
