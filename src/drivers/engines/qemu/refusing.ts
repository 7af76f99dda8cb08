import { CideryError } from '../../../model/errors.ts'
import type { SandboxRequest } from '../../../ports/engine.ts'
import type { HostAbility } from './host.ts'
import { imageOf } from './images.ts'
import type { QemuEngineConfig } from './settings.ts'

/** A guest of ours fits into this with nothing to spare for a job. */
const smallestMemoryMiB = 192

type Wanted = Pick<SandboxRequest, 'image' | 'network' | 'shape'> & Partial<Pick<SandboxRequest, 'mount'>>

/** Throws why a request can have no machine here: INVALID_INPUT, UNSUPPORTED or MOUNT_REFUSED. */
export function refuseRequest(config: QemuEngineConfig, { broken, networks }: HostAbility, request: Wanted): void {
  if (broken.length > 0) throw new CideryError('UNSUPPORTED', `the qemu engine does not work here: ${broken.join('; ')}`)
  imageOf(config, request.image)
  if (request.network === 'host' || !networks.includes(request.network)) {
    throw new CideryError('UNSUPPORTED', `a machine cannot have the network ${request.network} here`, {
      hint: `networks of this host: ${networks.join(', ')}`,
    })
  }
  if ((request.mount ?? null) !== null)
    throw new CideryError('MOUNT_REFUSED', 'a machine is shown no directory of this host', { hint: 'use --transfer sync' })
  if (request.shape.memoryMiB < smallestMemoryMiB) {
    throw new CideryError('UNSUPPORTED', `a machine does not boot with ${request.shape.memoryMiB} MiB of memory`, {
      hint: `ask for at least ${smallestMemoryMiB} MiB`,
    })
  }
}
