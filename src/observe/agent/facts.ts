import type { EngineFacts, HostFacts } from '../../model/host.ts'
import type { StoredImage } from '../../model/image/stored.ts'
import { hour } from '../../model/instant.ts'
import type { EngineName } from '../../model/job.ts'
import type { Readiness } from '../../model/readiness.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine, EngineSandbox, RebootableEngine } from '../../ports/engine.ts'

/** What the agent knows itself and the machine does not. */
export interface KnownToAgent {
  readonly agentVersion: string
  /** Whether it restarts the machine when it is asked to. */
  readonly mayReboot: boolean
  readonly readiness: readonly Readiness[]
  readonly images: readonly string[]
  /** Null where no engine keeps builds. */
  readonly storedImages: readonly StoredImage[] | null
  /** What sandboxes left behind, by engine: it is not to be used until that is gone. */
  readonly residue: ReadonlyMap<string, readonly string[]>
  readonly clockSkewMs: number | null
  /** What was seen last; an engine that cannot list its sandboxes now has those that it had. */
  readonly before: HostFacts | null
}

/** Looks at the machine and its engines. An engine that cannot be asked is reported as broken, with the reason. */
export async function observeFacts(
  ports: Pick<AgentPorts, 'probe' | 'engines' | 'clock' | 'releases'>,
  known: KnownToAgent,
): Promise<HostFacts> {
  // All of them look at once; none of them rejects.
  const looking = [...ports.engines.values()].map((engine) => observeEngine(engine, known))
  const host = await ports.probe.facts()
  const engines: EngineSight[] = []
  for (const sight of looking) engines.push(await sight)
  return {
    ...host,
    at: ports.clock.now(),
    agentVersion: known.agentVersion,
    agentRelease: ports.releases.describe(),
    engines: engines.map(({ facts }) => facts),
    images: [...known.images],
    ...(known.storedImages === null ? {} : { storedImages: known.storedImages.map(withCoarseUse) }),
    readiness: [...known.readiness],
    sandboxes: engines.flatMap(({ sandboxes }) => sandboxes),
    clockSkewMs: known.clockSkewMs,
    needsReboot: engines.flatMap(({ ills }) => ills),
    mayReboot: known.mayReboot,
  }
}

/** Every job uses an image, and none of them is worth a message: to the hour is enough for whoever looks. */
function withCoarseUse(image: StoredImage): StoredImage {
  return { ...image, lastUsedAt: Math.floor(image.lastUsedAt / hour) * hour }
}

interface EngineSight {
  readonly facts: EngineFacts
  readonly sandboxes: HostFacts['sandboxes']
  readonly ills: NonNullable<HostFacts['needsReboot']>
}

type Settled<T> = PromiseSettledResult<T>

async function observeEngine(engine: Engine | RebootableEngine, { before, residue }: KnownToAgent): Promise<EngineSight> {
  const probing = settled(() => engine.probe())
  const listing = settled(() => engine.list())
  const ailing = settled(() => illOf(engine))
  const { name } = engine
  return {
    facts: withResidue(factsOf(name, await probing), residue.get(name) ?? []),
    sandboxes: sandboxesOf(name, await listing, before),
    ills: illsOf(name, await ailing, before),
  }
}

/** Also what is thrown at once is a failure of this one look. */
async function settled<T>(look: () => Promise<T>): Promise<Settled<T>> {
  try {
    return { status: 'fulfilled', value: await look() }
  } catch (reason) {
    return { status: 'rejected', reason }
  }
}

async function illOf(engine: Engine | RebootableEngine): Promise<string | null> {
  return 'needsReboot' in engine ? engine.needsReboot() : null
}

function factsOf(name: EngineName, probed: Settled<EngineFacts>): EngineFacts {
  if (probed.status === 'fulfilled') return probed.value
  const capabilities = { snapshot: false, suspend: false, nested: false, vnc: false, networks: [], limits: [], images: false }
  const { message } = probed.reason as Error
  return { name, ok: false, problems: [message], isolation: 'directory', slots: 0, version: '', capabilities }
}

function withResidue(facts: EngineFacts, residue: readonly string[]): EngineFacts {
  return residue.length === 0 ? facts : { ...facts, ok: false, problems: [...facts.problems, ...residue] }
}

function sandboxesOf(engine: EngineName, listed: Settled<readonly EngineSandbox[]>, before: HostFacts | null): HostFacts['sandboxes'] {
  if (listed.status === 'fulfilled') return listed.value.map(({ id, state }) => ({ id, engine, state }))
  // Its probe says the same fault, with the reason. Nobody may conclude from it that the sandboxes are gone.
  return before?.sandboxes.filter((sandbox) => sandbox.engine === engine) ?? []
}

function illsOf(engine: EngineName, ill: Settled<string | null>, before: HostFacts | null): EngineSight['ills'] {
  if (ill.status === 'fulfilled') return ill.value === null ? [] : [{ engine, reason: ill.value.slice(0, 500) }]
  // An engine that cannot look now is as well or ill as it was: nobody may conclude from it that it is cured.
  return before?.needsReboot?.filter((known) => known.engine === engine) ?? []
}
