import type { EngineFacts, Host, HostFacts } from '../model/host.ts'
import type { HostImages } from '../model/image/line.ts'
import type { Instant } from '../model/instant.ts'
import type { EngineName } from '../model/job.ts'
import type { WaitingCode } from '../model/plan.ts'
import { judgeReadiness, type ReadinessVerdict } from '../model/readiness.ts'
import type { Labels, Shape } from '../model/shape.ts'
import type { Pool, PoolEngine, Spec } from '../model/spec.ts'
import { viewLines } from './images/line-view.ts'
import { nothingServed, type Serving } from './images/serving.ts'
import { labelsOf, poolEngine, poolNameOf } from './pools.ts'

export type Network = 'nat' | 'host' | 'none'

/** What one engine of one host offers under its pool's policy. */
export interface EngineView {
  readonly facts: EngineFacts
  /** Sandboxes at once: what the pool says, never more than the engine allows there. */
  readonly slots: number
  readonly networks: readonly Network[]
  /** Parts of a shape that the pool wants enforced and the engine cannot enforce. */
  readonly unenforced: readonly string[]
  /** By image; the empty text stands for no image. */
  readonly verdicts: ReadonlyMap<string, ReadinessVerdict>
  readonly bootedAt: ReadonlyMap<string, Instant>
}

/** A host under a spec, as placement looks at it. */
export interface HostView {
  readonly poolName: string
  readonly pool: Pool | undefined
  readonly labels: Labels
  readonly engines: ReadonlyMap<EngineName, EngineView>
  /** Images that a sandbox could start from: names that the operator gave, ids of builds, and names of lines whose build is there. */
  readonly images: ReadonlySet<string>
  /** Build that a job of a line gets here, by name of the line. */
  readonly builds: ReadonlyMap<string, string>
  readonly capacity: Shape | null
  readonly freeDiskMiB: number
  /** VMs that the host sees, whoever made them. */
  readonly machines: readonly { readonly id: string; readonly engine: EngineName }[]
  /** When the facts were taken, on the controller's clock. */
  readonly factsAt: Instant
  /** The last word of it that was written down, or its enrolment. */
  readonly heardAt: Instant
  readonly isUp: boolean
  readonly bootId: string | null
  /** Why it gets no jobs whatever time it is, by its own state and people's orders; null: it may. */
  readonly closed: WaitingCode | null
  /** Engines that the pool offers and that only a restart of the machine cures. */
  readonly ills: NonNullable<HostFacts['needsReboot']>
  /** Equal for hosts between which placement sees no difference but load and status. */
  readonly signature: string
}

interface Remembered {
  readonly view: HostView
  readonly spec: Spec
  readonly serving: string
  readonly hostImages: HostImages | undefined
  readonly selectors: string
  readonly from: Instant
  /** First moment at which time alone may change the view. */
  readonly until: Instant
}

/** A host is immutable, so that its view is kept until spec, the labels asked for, or an age limit change it. */
const remembered = new WeakMap<Host, Remembered>()

export interface ViewQuestion {
  readonly spec: Spec
  readonly now: Instant
  /** Keys of labels that some job selects by, in order; other labels do not tell hosts apart. */
  readonly selectors: readonly string[]
  /** The same keys as one text. */
  readonly selectorsKey: string
  /** What lines of images serve, and what they have to do with this host. */
  readonly serving?: Serving
  readonly hostImages?: HostImages | undefined
}

/** The view of a host, and until when it holds. */
export function viewOf(host: Host, question: ViewQuestion): Remembered {
  const known = remembered.get(host)
  if (known !== undefined && stillHolds(known, question)) return known
  const made = makeView(host, question)
  remembered.set(host, made)
  return made
}

function stillHolds(known: Remembered, { spec, now, selectorsKey, serving = nothingServed, hostImages }: ViewQuestion): boolean {
  if (known.spec !== spec || known.selectors !== selectorsKey || now < known.from || now >= known.until) return false
  return known.serving === serving.key && known.hostImages === hostImages
}

/** Host clock minus controller clock; 0 while unknown. */
export function skewOf(host: Host): number {
  return host.facts?.clockSkewMs ?? 0
}

function makeView(host: Host, question: ViewQuestion): Remembered {
  const { spec, selectors, selectorsKey, serving = nothingServed, hostImages } = question
  const poolName = poolNameOf(spec, host)
  const pool = spec.pools[poolName]
  const labels = labelsOf(spec, host)
  const { engines, images, builds, until } = pool === undefined ? noEngines : enginesOf(host, pool, question)
  const ills = illsOf(host, engines)
  const view: HostView = {
    poolName,
    pool,
    labels,
    engines,
    images,
    builds,
    capacity: host.facts?.capacity ?? null,
    machines: host.facts?.sandboxes.filter((sandbox) => sandbox.engine !== 'user') ?? [],
    freeDiskMiB: host.facts?.free.diskMiB ?? 0,
    factsAt: (host.facts?.at ?? 0) - skewOf(host),
    heardAt: host.lastSeenAt ?? host.enrolledAt,
    isUp: host.state === 'up',
    bootId: host.bootId,
    closed: closedBy(host, pool, ills.length > 0),
    ills,
    signature: signatureOf(host, { poolName, labels, engines, selectors, builds, images }),
  }
  return { view, spec, serving: serving.key, hostImages, selectors: selectorsKey, from: question.now, until }
}

/** No image that an operator names may look like the id of a build. */
function isBuildId(image: string): boolean {
  return image.startsWith('bld_')
}

function illsOf({ facts }: Host, offered: HostView['engines']): HostView['ills'] {
  return (facts?.needsReboot ?? []).filter(({ engine }) => offered.has(engine))
}

/** Whether repeated failures put a host into quarantine, also when this pass is the first to see it. */
export function isFailing(host: Host, pool: Pool | undefined): boolean {
  return host.schedulable.kind === 'open' && pool !== undefined && host.failureStreak >= pool.quarantineAfter
}

function closedBy(host: Host, pool: Pool | undefined, isIll: boolean): WaitingCode | null {
  const { kind } = host.schedulable
  if (host.state === 'lost') return 'hostLost'
  if (kind === 'cordoned') return 'hostCordoned'
  if (kind === 'draining') return 'draining'
  if (kind === 'quarantined' || isIll || isFailing(host, pool)) return 'hostQuarantined'
  return host.state === 'enrolled' || host.facts === null ? 'hostStale' : null
}

interface OfferedEngines {
  readonly engines: ReadonlyMap<EngineName, EngineView>
  readonly images: ReadonlySet<string>
  readonly builds: ReadonlyMap<string, string>
  readonly until: Instant
}

const noEngines: OfferedEngines = { engines: new Map(), images: new Set(), builds: new Map(), until: Number.POSITIVE_INFINITY }

function enginesOf(host: Host, pool: Pool, { now, serving = nothingServed, hostImages }: ViewQuestion): OfferedEngines {
  const engines = new Map<EngineName, EngineView>()
  let until = Number.POSITIVE_INFINITY
  for (const facts of host.facts?.engines ?? []) {
    const policy = poolEngine(pool, facts.name)
    if (policy === undefined) continue
    const judged = judgeEngine(host, { pool, facts, now })
    until = Math.min(until, judged.until)
    engines.set(facts.name, engineView(policy, facts, judged))
  }
  if (serving.lines.length === 0) return { engines, images: new Set(host.facts?.images), builds: noBuilds, until }
  const lines = viewLines(host, { pool, serving, hostImages, now, verdicts: (engine) => engines.get(engine)?.verdicts })
  for (const { engine, alias, build, verdict } of lines.served) {
    const view = engines.get(engine)
    if (view === undefined) continue
    const bootedAt = view.bootedAt.get(build)
    engines.set(engine, {
      ...view,
      verdicts: new Map([...view.verdicts, [alias, verdict]]),
      bootedAt: bootedAt === undefined ? view.bootedAt : new Map([...view.bootedAt, [alias, bootedAt]]),
    })
  }
  return { engines, images: lines.images, builds: lines.builds, until: Math.min(until, lines.until) }
}

const noBuilds: ReadonlyMap<string, string> = new Map()

function engineView(policy: PoolEngine, facts: EngineFacts, judged: Judged): EngineView {
  const { capabilities } = facts
  const wanted = policy.limits === 'enforced' ? (['cpu', 'memory', 'disk'] as const) : []
  return {
    facts,
    slots: Math.min(policy.slots ?? facts.slots, facts.slots),
    networks: policy.networks.filter((network) => capabilities.networks.includes(network)),
    unenforced: wanted.filter((part) => !capabilities.limits.includes(part)),
    verdicts: judged.verdicts,
    bootedAt: judged.bootedAt,
  }
}

interface Judged {
  readonly verdicts: ReadonlyMap<string, ReadinessVerdict>
  readonly bootedAt: ReadonlyMap<string, Instant>
  readonly until: Instant
}

function judgeEngine(host: Host, asked: { pool: Pool; facts: EngineFacts; now: Instant }): Judged {
  const { checkMaxAge, bootProofMaxAge } = asked.pool.readiness
  const skew = skewOf(host)
  const verdicts = new Map<string, ReadinessVerdict>()
  const bootedAt = new Map<string, Instant>()
  let until = Number.POSITIVE_INFINITY
  for (const readiness of host.facts?.readiness ?? []) {
    if (readiness.engine !== asked.facts.name) continue
    const image = readiness.image ?? ''
    // The proofs carry the host's clock; they are judged by it.
    verdicts.set(image, judgeReadiness(readiness, { checkMaxAge, bootProofMaxAge }, asked.now + skew))
    if (readiness.boot !== null) bootedAt.set(image, readiness.boot.at - skew)
    for (const [proof, maxAge] of [
      [readiness.check, checkMaxAge],
      [readiness.boot, bootProofMaxAge],
    ] as const) {
      if (proof === null) continue
      for (const edge of [proof.at - skew - maxAge, proof.at - skew + maxAge + 1]) if (edge > asked.now) until = Math.min(until, edge)
    }
  }
  return { verdicts, bootedAt, until }
}

interface SignatureParts {
  readonly poolName: string
  readonly labels: Labels
  readonly engines: ReadonlyMap<EngineName, EngineView>
  readonly selectors: readonly string[]
  readonly builds: ReadonlyMap<string, string>
  readonly images: ReadonlySet<string>
}

function signatureOf(host: Host, parts: SignatureParts): string {
  const { facts } = host
  if (facts === null) return `${parts.poolName}|unseen`
  let text = `${parts.poolName}|${facts.capacity.cpu},${facts.capacity.memoryMiB},${facts.capacity.diskMiB}`
  for (const key of parts.selectors) text += `|${parts.labels[key] ?? '\0'}`
  for (const [name, engine] of parts.engines) {
    text += `|${name},${engine.facts.ok},${engine.facts.capabilities.images},${engine.slots},${engine.networks.join('+')},${engine.unenforced.join('+')}`
    // Which builds a host has besides the one that jobs get makes no difference to them.
    for (const [image, verdict] of engine.verdicts) if (!isBuildId(image)) text += `,${image}:${verdict.state}`
  }
  for (const [image, build] of parts.builds) text += `|${image}=${build}`
  return `${text}|${[...parts.images].filter((image) => !isBuildId(image)).join(',')}`
}
