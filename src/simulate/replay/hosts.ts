import { CideryError } from '../../model/errors.ts'
import { parseDuration } from '../../model/instant.ts'
import type { Milliseconds } from '../../model/instant.ts'
import { engineNames } from '../../model/job.ts'
import type { EngineName } from '../../model/job.ts'
import { SizeText } from '../../model/quantity.ts'
import type { Shape } from '../../model/shape.ts'
import type { SimulatedEngine, SimulatedHosts } from '../../model/simulation.ts'
import type { Pool, Spec } from '../../model/spec.ts'
import type { TraceJob } from '../../model/trace.ts'
import { countOf, namedValues, type NamedValuesOptions } from './named-values.ts'

/** As people write them; undefined: what is usual. */
export interface HostOptions {
  /** `20`, or `mac=20,linux=4`: hosts of a pool. */
  readonly hosts?: string | undefined
  /** `2`, or `tart=2,user=6`: slots of an engine on a host, where the spec does not say. */
  readonly slots?: string | undefined
  /** `40s`, or `qemu=25s,tart=40s`: how long an engine takes to boot. */
  readonly boot?: string | undefined
  /** `cpu=8,memory=16GiB,disk=500GiB`. */
  readonly hostShape?: string | undefined
  /** `0.6`, or `mac=0.6,linux=0.1`: of a host in an hour. */
  readonly price?: string | undefined
}

const usualShape: Shape = { cpu: 8, memoryMiB: 16_384, diskMiB: 512_000 }
const usualSlots = 2
/** What is taken when neither an option nor the trace says: an account, a Linux machine from a saved state, a macOS machine. */
const usualBootMs: Readonly<Record<EngineName, Milliseconds>> = { user: 300, qemu: 2_000, tart: 30_000 }

/** Hosts of each pool that has some. Throws INVALID_INPUT when nothing says how many there are, or an option cannot be read. */
export function simulatedHosts(spec: Spec, jobs: readonly TraceJob[], options: HostOptions): readonly SimulatedHosts[] {
  const counts = hostCounts(spec, options.hosts)
  const engines = enginesWith(spec, jobs, options)
  const prices =
    options.price === undefined
      ? undefined
      : namedValues(options.price, {
          flag: '--price',
          names: Object.keys(spec.pools),
          forAll: true,
          read: (text) => (/^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined),
          accepted: 'what a host costs in an hour: 0.6, or mac=0.6,linux=0.1',
        })
  const capacity = options.hostShape === undefined ? usualShape : readShape(options.hostShape)
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([pool, count]) => ({
      pool,
      count,
      engines: engines(spec.pools[pool]),
      capacity,
      pricePerHour: prices?.get(pool) ?? null,
    }))
}

/** What was asked for; otherwise the hosts that the spec names one by one. */
function hostCounts(spec: Spec, asked: string | undefined): ReadonlyMap<string, number> {
  const names = Object.keys(spec.pools)
  if (asked !== undefined)
    return namedValues(asked, { flag: '--hosts', names, read: countOf, accepted: 'how many hosts: 20, or mac=20,linux=4' })
  const named = names.map((name) => [name, (spec.pools[name]?.hosts ?? []).filter((host) => !host.includes('*')).length] as const)
  if (named.every(([, count]) => count === 0)) {
    throw new CideryError('INVALID_INPUT', 'nothing says how many hosts there are: the spec names none', {
      hint: names.length === 1 ? '--hosts 20' : `--hosts ${names.map((name) => `${name}=10`).join(',')}`,
    })
  }
  return new Map(named)
}

function readShape(text: string): Shape {
  const sizes = namedValues(text, {
    flag: '--host-shape',
    names: ['cpu', 'memory', 'disk'],
    read: (word) => (/^\d+(?:\.\d+)?$/.test(word) ? Number(word) : sizeOf(word)),
    accepted: 'for example cpu=8,memory=16GiB,disk=500GiB',
  })
  const mib = (name: string, usual: number) => {
    const bytes = sizes.get(name)
    return bytes === undefined ? usual : Math.floor(bytes / 1_048_576)
  }
  return {
    cpu: sizes.get('cpu') ?? usualShape.cpu,
    memoryMiB: mib('memory', usualShape.memoryMiB),
    diskMiB: mib('disk', usualShape.diskMiB),
  }
}

function sizeOf(text: string): number | undefined {
  const size = SizeText.safeParse(text)
  return size.success ? size.data : undefined
}

/** A value for each engine, or one for all; undefined when none is given. */
function ofEngines<T>(given: string | undefined, about: Pick<NamedValuesOptions<T>, 'flag' | 'read' | 'accepted'>) {
  return given === undefined ? undefined : namedValues(given, { ...about, names: engineNames, forAll: true })
}

/** The engines of a pool: those that it sets up, else all that the trace needs. */
function enginesWith(spec: Spec, jobs: readonly TraceJob[], options: HostOptions): (pool: Pool | undefined) => SimulatedHosts['engines'] {
  const engineOf = (job: TraceJob) => job.engine ?? spec.queues[job.queue]?.engine ?? 'user'
  const slots = ofEngines(options.slots, {
    flag: '--slots',
    read: (text) => countOf(text) || undefined,
    accepted: 'how many at once: 2, or tart=2,user=6',
  })
  const boots = ofEngines(options.boot, { flag: '--boot', read: parseDuration, accepted: 'how long: 40s, or qemu=25s,tart=40s' })
  const needed = engineNames.filter((name) => jobs.some((job) => engineOf(job) === name))
  const bootMs = Object.fromEntries(
    engineNames.map((name) => [name, measuredBoot(jobs.filter((job) => engineOf(job) === name)) ?? usualBootMs[name]]),
  )
  return (pool) => {
    const own = engineNames.filter((name) => pool?.engines[name] !== undefined)
    const entries = (own.length === 0 ? needed : own).map((name): readonly [EngineName, SimulatedEngine] => [
      name,
      {
        slots: pool?.engines[name]?.slots ?? slots?.get(name) ?? usualSlots,
        images: Object.keys(spec.images).filter((image) => spec.images[image]?.engine === name),
        bootMs: boots?.get(name) ?? bootMs[name] ?? 0,
      },
    ])
    return Object.fromEntries(entries)
  }
}

/** The mean of the boots that were measured; undefined when there is none. */
function measuredBoot(jobs: readonly TraceJob[]): Milliseconds | undefined {
  const measured = jobs.flatMap(({ bootMs }) => bootMs ?? [])
  return measured.length === 0 ? undefined : Math.round(measured.reduce((sum, one) => sum + one, 0) / measured.length)
}
