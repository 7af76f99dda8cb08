import { minute } from '../../model/instant.ts'
import type { EngineName } from '../../model/job.ts'
import type { Proof } from '../../model/readiness.ts'
import type { Shape } from '../../model/shape.ts'
import type { AgentPorts } from '../../ports/agent.ts'
import type { Engine } from '../../ports/engine.ts'

export interface BootProbe {
  readonly engine: Engine
  readonly image: string | null
  /** Id of the sandbox that is made and removed again. */
  readonly id: string
  readonly limits: 'enforced' | 'advisory'
  readonly blockedAddresses: readonly string[]
  readonly signal: AbortSignal
}

const probeShape: Shape = { cpu: 1, memoryMiB: 256, diskMiB: 256 }
const limitMs = 15 * minute

/** What a short-lived command inside did; the loop gives it the way to run one. */
export type RunTrue = (engine: Engine, id: string, limitMs: number) => Promise<void>

export interface BootProof {
  readonly proof: Proof
  /** Why the sandbox of the probe is still there; null: it is not. */
  readonly residue: string | null
}

/** The only proof that a host can start a job: make a sandbox, boot it, run `true` inside, remove it. Never rejects. */
export async function proveBoot(ports: Pick<AgentPorts, 'clock' | 'log'>, probe: BootProbe, runTrue: RunTrue): Promise<BootProof> {
  const { engine, image, id, limits, blockedAddresses } = probe
  let proof: Proof
  let residue: string | null = null
  try {
    const { networks } = (await engine.probe()).capabilities
    // The cheapest network that there is: an engine without any of its own shares the machine's.
    const network = networks.includes('none') ? 'none' : (networks[0] ?? 'none')
    await engine.create({ id, jobId: id, image, shape: probeShape, limits, network, blockedAddresses, mount: null })
    await engine.start(id)
    await runTrue(engine, id, limitMs)
    proof = { ok: true, at: ports.clock.now(), reason: 'a probe booted' }
  } catch (error) {
    proof = { ok: false, at: ports.clock.now(), reason: textOf(error) }
  }
  try {
    await engine.stop(id, 0)
    await engine.destroy(id)
  } catch (error) {
    residue = textOf(error)
    // What failed first is the cause.
    if (proof.ok) proof = { ok: false, at: ports.clock.now(), reason: `the probe could not be removed: ${textOf(error)}`.slice(0, 500) }
  }
  if (!proof.ok) ports.log.warn('a boot probe failed', { engine: engine.name, image, reason: proof.reason })
  return { proof, residue }
}

/** The cheap look. Never rejects. */
export async function checkEngine(ports: Pick<AgentPorts, 'clock'>, engine: Engine, image: string | null): Promise<Proof> {
  try {
    return await engine.check(image)
  } catch (error) {
    return { ok: false, at: ports.clock.now(), reason: textOf(error) }
  }
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : 'an unknown fault').slice(0, 500)
}

/** Engine and image, as one key. */
export function readinessKey(engine: EngineName, image: string | null): string {
  return `${engine}/${image ?? ''}`
}
