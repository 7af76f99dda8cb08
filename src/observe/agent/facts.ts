import type { EngineFacts, HostFacts } from '../../model/host.ts'
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
  const engines = [...ports.engines.values()]
  const [host, engineFacts, sandboxes, ills] = await Promise.all([
    ports.probe.facts(),
    Promise.all(engines.map((engine) => observeEngine(engine, known.residue.get(engine.name) ?? []))),
    Promise.all(engines.map((engine) => observeSandboxes(engine, known.before))),
    Promise.all(engines.map((engine) => observeIll(engine, known.before))),
  ])
  return {
    ...host,
    at: ports.clock.now(),
    agentVersion: known.agentVersion,
    agentRelease: ports.releases.describe(),
    engines: engineFacts,
    images: [...known.images],
    readiness: [...known.readiness],
    sandboxes: sandboxes.flat(),
    clockSkewMs: known.clockSkewMs,
    needsReboot: ills.flat(),
    mayReboot: known.mayReboot,
  }
}

async function observeEngine(engine: Engine, residue: readonly string[]): Promise<EngineFacts> {
  const facts = await probeEngine(engine)
  if (residue.length === 0) return facts
  return { ...facts, ok: false, problems: [...facts.problems, ...residue] }
}

async function probeEngine(engine: Engine): Promise<EngineFacts> {
  try {
    return await engine.probe()
  } catch (error) {
    const capabilities = { snapshot: false, suspend: false, nested: false, vnc: false, networks: [], limits: [], images: false }
    return {
      name: engine.name,
      ok: false,
      problems: [(error as Error).message],
      isolation: 'directory',
      slots: 0,
      version: '',
      capabilities,
    }
  }
}

async function observeSandboxes(engine: Engine, before: HostFacts | null): Promise<HostFacts['sandboxes']> {
  try {
    const sandboxes: readonly EngineSandbox[] = await engine.list()
    return sandboxes.map(({ id, state }) => ({ id, engine: engine.name, state }))
  } catch {
    // Its probe says the same fault, with the reason. Nobody may conclude from it that the sandboxes are gone.
    return before?.sandboxes.filter((sandbox) => sandbox.engine === engine.name) ?? []
  }
}

async function observeIll(engine: Engine | RebootableEngine, before: HostFacts | null): Promise<NonNullable<HostFacts['needsReboot']>> {
  if (!('needsReboot' in engine)) return []
  try {
    const reason = await engine.needsReboot()
    return reason === null ? [] : [{ engine: engine.name, reason: reason.slice(0, 500) }]
  } catch {
    // An engine that cannot look now is as well or ill as it was: nobody may conclude from it that it is cured.
    return before?.needsReboot?.filter((ill) => ill.engine === engine.name) ?? []
  }
}
