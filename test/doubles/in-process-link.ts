import { CideryError } from '../../src/model/errors.ts'
import type { HostId } from '../../src/model/id.ts'
import type { ControllerLink } from '../../src/ports/agent.ts'
import { keepBlob } from '../../src/record/blobs.ts'
import type { Fleet } from './controller-fleet.ts'

/** The agent's way to a controller in the same process: straight to the sync handler and the blobs, nothing of HTTP between. */
export function inProcessLink(fleet: Fleet, hostId: HostId): ControllerLink {
  const direct = fleet.link(hostId)

  function reached(): Fleet {
    if (fleet.board.core === null) throw new CideryError('UNREACHABLE', 'the controller does not answer')
    return fleet
  }

  return {
    ...direct,
    enrol: () => Promise.reject(new CideryError('UNSUPPORTED', 'this host is enrolled')),
    appendBuildLog: () => Promise.reject(new CideryError('UNSUPPORTED', 'hosts of these tests build no images')),
    async uploadBlob(digest, sizeBytes, read) {
      const name = `uploads/${digest}`
      let offset = await reached().blobs.length(name)
      for await (const bytes of read(offset)) offset = await reached().blobs.append(name, offset, bytes)
      if (offset !== sizeBytes) throw new CideryError('OFFSET_MISMATCH', 'bytes are missing')
      await reached().blobs.seal(name, digest)
      await fleet.store.write((tx) => keepBlob(tx, { digest, sizeBytes, at: fleet.time.clock.now() }))
    },
    downloadBlob: async (digest, offset) => (await reached().blobs.open(digest, offset)).stream as AsyncIterable<Uint8Array>,
    fetchSecrets: () => Promise.resolve({}),
    rotateKey: () => Promise.resolve(),
    health: () => Promise.resolve(fleet.board.core !== null),
    attachStream: () => Promise.reject(new CideryError('UNSUPPORTED', 'no streams here')),
  }
}
