import { CideryError } from '../../../model/errors.ts'
import type { SandboxRequest } from '../../../ports/engine.ts'
import { originOf, type Cloning } from './cloning.ts'
import { networkOf, type HostAbility } from './host.ts'
import { storedRecord } from './images.ts'
import type { MachineRecord } from './record.ts'
import { releaseProblem } from './releases.ts'

/** Throws why a request can have no machine here: INVALID_INPUT, UNSUPPORTED, NOT_FOUND or MOUNT_REFUSED. */
export async function refuseRequest(around: Cloning, { broken }: HostAbility, request: SandboxRequest): Promise<void> {
  if (!/^[a-z]+_[0-9a-z]{20,40}$/.test(request.id)) throw new CideryError('INVALID_INPUT', `${request.id} is not an id`)
  if (broken.length > 0) throw new CideryError('UNSUPPORTED', `the tart engine does not work here: ${broken.join('; ')}`)
  await refuseOrigin(around, startOf(request))
  const network = networkOf(around.config)
  if (request.network !== network) {
    throw new CideryError('UNSUPPORTED', `a machine cannot have the network ${request.network} here`, {
      hint: `it has ${network}; engines.tart.network of agent.yaml says which`,
    })
  }
  if (request.mount !== null)
    throw new CideryError('MOUNT_REFUSED', 'a machine is shown no directory of this host', { hint: 'use --transfer sync' })
  if (request.limits === 'enforced') {
    throw new CideryError('UNSUPPORTED', 'Tart cannot limit disk: a machine has the disk of its image', {
      hint: 'set limits: advisory for this engine in the pool',
    })
  }
}

/** What a machine of a request starts from, as its record has it. */
export function startOf({ image, builder }: Pick<SandboxRequest, 'image' | 'builder'>): Pick<MachineRecord, 'image' | 'builder'> {
  if (builder === undefined) return { image: image ?? '' }
  return 'layer' in builder
    ? { image: '', builder: { layer: builder.layer, closed: false } }
    : { image: builder.image, builder: { layer: null, closed: false } }
}

async function refuseOrigin(around: Cloning, start: Pick<MachineRecord, 'image' | 'builder'>): Promise<void> {
  originOf(around, start)
  const { config } = around
  const metadata = config.images.has(start.image) ? null : (storedRecord(around, start.image)?.metadata ?? null)
  const problem = await releaseProblem(config, metadata)
  if (problem !== null) throw new CideryError('UNSUPPORTED', problem)
}
