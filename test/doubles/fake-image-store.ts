import { CideryError } from '../../src/model/errors.ts'
import { formatImageReference } from '../../src/model/image/reference.ts'
import type { ImageMetadata, StoredImage } from '../../src/model/image/stored.ts'
import type { ImageEngine, ImageStore, StoredLayer } from '../../src/ports/images.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { VirtualTime } from './virtual-time.ts'

const gib = 1024 ** 3

/** What a registry of a test has, by digest. */
export interface RemoteBuild {
  readonly sizeBytes: number
  readonly metadata: ImageMetadata | null
}

export interface FakeImages {
  readonly engine: ImageEngine
  readonly remote: Map<string, RemoteBuild>
  readonly stored: Map<string, StoredImage>
  readonly layers: Map<string, StoredLayer>
  /** Bytes of the disk. */
  capacity: number
  /** What the next pull fails with; null: it works. */
  fault: CideryError | null
  /** Pulls that were begun, in order. */
  readonly pulls: string[]
}

/** What a build says of itself, with as little as can be. */
export function testMetadata(build: string, changes: Partial<ImageMetadata> = {}): ImageMetadata {
  return {
    build,
    image: 'debian-12',
    name: build,
    engine: 'qemu',
    recipe: { version: '1.0', hash: 'h1', layers: [] },
    base: null,
    productVersion: null,
    guest: { os: 'debian', release: '12', arch: 'x64' },
    builtAt: 0,
    builtOn: 'builder-1',
    tools: [],
    labels: {},
    ...changes,
  }
}

export function testImage(id: string, changes: Partial<StoredImage> = {}): StoredImage {
  const metadata = testMetadata(id)
  return { id, engine: 'qemu', metadata, reference: null, sizeBytes: gib, storedAt: 0, lastUsedAt: 0, users: [], problems: [], ...changes }
}

/** An engine whose images are entries of a map, brought from another map in virtual time. A disk holds no more than it has room for. */
export function fakeImages(base: FakeEngine, time: VirtualTime): FakeImages {
  const remote = new Map<string, RemoteBuild>()
  const stored = new Map<string, StoredImage>()
  const layers = new Map<string, StoredLayer>()
  const fakes: Omit<FakeImages, 'engine'> = { remote, stored, layers, capacity: 100 * gib, fault: null, pulls: [] }
  const used = (): number => [...stored.values(), ...layers.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

  const images: ImageStore = {
    list: () => Promise.resolve([...stored.values()]),
    describe: (from) => Promise.resolve(remote.get(from.digest)?.metadata ?? null),
    async pull(id, from, { signal, onProgress }) {
      fakes.pulls.push(id)
      await time.timers.sleep(1000, signal)
      if (fakes.fault !== null) throw fakes.fault
      const found = remote.get(from.digest)
      if (found === undefined) throw new CideryError('NOT_FOUND', `the registry has no ${from.digest}`)
      const free = fakes.capacity - used()
      if (found.sizeBytes > free) {
        throw new CideryError('STORAGE_FULL', `${found.sizeBytes} bytes are needed, and ${free} are free`, {
          details: { neededBytes: found.sizeBytes },
        })
      }
      for (let done = 0; done < 4; done += 1) {
        onProgress?.({ done: (found.sizeBytes * done) / 4, total: found.sizeBytes, network: 0 })
        await time.timers.sleep(1000, signal)
      }
      const image = testImage(id, {
        metadata: found.metadata,
        sizeBytes: found.sizeBytes,
        reference: formatImageReference(from),
        storedAt: time.clock.now(),
      })
      stored.set(id, image)
      return image
    },
    push: () => Promise.reject(new CideryError('UNSUPPORTED', 'nothing is pushed in this test')),
    verify: () => Promise.resolve([]),
    async remove(id) {
      const image = stored.get(id)
      if (image === undefined) throw new CideryError('NOT_FOUND', id)
      if (image.users.length > 0) throw new CideryError('CONFLICT', id)
      stored.delete(id)
    },
    room: () => Promise.resolve({ usedBytes: used(), freeBytes: fakes.capacity - used(), totalBytes: fakes.capacity }),
    sweep: () => Promise.resolve([]),
  }
  const refuse = (): Promise<never> => Promise.reject(new CideryError('UNSUPPORTED', 'nothing is built in this test'))
  const builder: ImageEngine['builder'] = {
    prepareBase: refuse,
    shutDown: refuse,
    keepLayer: refuse,
    seal: refuse,
    layers: () => Promise.resolve([...layers.values()]),
    async removeLayer(key) {
      layers.delete(key)
    },
  }
  const engine: ImageEngine = { ...base, name: 'qemu', images, builder }
  return Object.assign(fakes, { engine })
}
