import type { HostFacts } from '../../model/host.ts'
import type { HostImages, ImageHold, ImageOnHost } from '../../model/image/line.ts'
import type { StoredImage } from '../../model/image/stored.ts'

const none: ReadonlyMap<string, StoredImage> = new Map()
const stored = new WeakMap<HostFacts, ReadonlyMap<string, StoredImage>>()

/** Builds that are whole on a host, by id; those with something wrong are left out. */
export function storedOn(facts: HostFacts | null): ReadonlyMap<string, StoredImage> {
  if (facts?.storedImages === undefined) return none
  let known = stored.get(facts)
  if (known === undefined) {
    known = new Map(facts.storedImages.filter(({ problems }) => problems.length === 0).map((image) => [image.id, image]))
    stored.set(facts, known)
  }
  return known
}

export interface IndexedImages {
  readonly holds: ReadonlyMap<string, ImageHold>
  readonly states: ReadonlyMap<string, ImageOnHost>
}

const nothing: IndexedImages = { holds: new Map(), states: new Map() }
const indexed = new WeakMap<HostImages, IndexedImages>()

/** What a host has to do with images: holds by build, states by image. */
export function indexOf(images: HostImages | undefined): IndexedImages {
  if (images === undefined) return nothing
  let known = indexed.get(images)
  if (known === undefined) {
    known = {
      holds: new Map(images.holds.map((hold) => [hold.buildId, hold])),
      states: new Map(images.states.map((state) => [state.image, state])),
    }
    indexed.set(images, known)
  }
  return known
}
