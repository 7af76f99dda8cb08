import type { EngineName } from '../model/job.ts'
import type { Shape } from '../model/shape.ts'
import { lacking, loadOf, type HostGroup, type Place } from './fleet.ts'
import { createHeap, type Heap } from './heap.ts'
import { preferenceOf } from './images/preference.ts'

interface Need {
  readonly engine: EngineName
  readonly image: string | null
  readonly shape: Shape
}

interface Candidate {
  readonly place: Place
  readonly load: number
  /** Place of the image in the order that the pool prefers; after all of them when it names it not. */
  readonly preference: number
  readonly bootedAt: number
}

/**
 * The open hosts that have room for one kind of job, least loaded first. During a pass hosts only fill up: an entry whose load is
 * out of date is put back with the true one when it comes to the top, and a host without room never comes back.
 */
export interface Vacancies {
  /** The hosts of these groups that have room for this kind of job. */
  of(groups: readonly HostGroup[], need: Need): Vacancy
}

export interface Vacancy {
  /** The best host, or undefined when none has room. Hosts in `avoid` only come when there is no other. */
  best(avoid: readonly string[]): Place | undefined
}

export function createVacancies(): Vacancies {
  const heaps = new Map<HostGroup, Map<string, Heap<Candidate>>>()
  const roomy = createRoomy()
  function heapOf(group: HostGroup, need: Need, key: string): Heap<Candidate> {
    let ofGroup = heaps.get(group)
    if (ofGroup === undefined) {
      ofGroup = new Map()
      heaps.set(group, ofGroup)
    }
    let heap = ofGroup.get(key)
    if (heap === undefined) {
      heap = createHeap(candidatesOf(roomy(group, need.engine), need), compareCandidates)
      ofGroup.set(key, heap)
    }
    return heap
  }
  return {
    of(groups, need) {
      const key = `${need.engine}|${need.image ?? ''}|${need.shape.cpu}x${need.shape.memoryMiB}x${need.shape.diskMiB}`
      let sources = groups.map((group) => heapOf(group, need, key))
      return {
        best(avoid) {
          sources = sources.filter((heap) => heap.size > 0)
          return bestPlace(sources, need, avoid)
        },
      }
    },
  }
}

function bestPlace(sources: readonly Heap<Candidate>[], need: Need, avoid: readonly string[]): Place | undefined {
  const avoided: { readonly heap: Heap<Candidate>; readonly top: Candidate }[] = []
  let found = bestOf(sources, need)
  while (found !== undefined && avoid.includes(found.top.place.host.id)) {
    found.heap.pop()
    avoided.push(found)
    found = bestOf(sources, need)
  }
  for (const { heap, top } of avoided) heap.push(top)
  // When every host that has room failed this job before, the best of them is better than waiting.
  return (found ?? avoided[0])?.top.place
}

function bestOf(heaps: readonly Heap<Candidate>[], need: Need): { readonly heap: Heap<Candidate>; readonly top: Candidate } | undefined {
  let best: { readonly heap: Heap<Candidate>; readonly top: Candidate } | undefined
  for (const heap of heaps) {
    const top = freshTop(heap, need)
    if (top !== undefined && (best === undefined || compareCandidates(top, best.top) < 0)) best = { heap, top }
  }
  return best
}

/** The top of a heap, with its true load. */
function freshTop(heap: Heap<Candidate>, need: Need): Candidate | undefined {
  for (;;) {
    const top = heap.peek()
    if (top === undefined) return undefined
    const hasRoom = top.place.heldFor === null && lacking(top.place, need) === null
    const load = loadOf(top.place, need.engine)
    if (hasRoom && load === top.load) return top
    heap.pop()
    if (hasRoom) heap.push({ ...top, load })
  }
}

/** Hosts of a group that have a slot left, worked out once per engine: in a busy fleet these are few. */
function createRoomy(): (group: HostGroup, engine: EngineName) => readonly Place[] {
  const lists = new Map<HostGroup, Map<EngineName, readonly Place[]>>()
  return (group, engine) => {
    let ofGroup = lists.get(group)
    if (ofGroup === undefined) {
      ofGroup = new Map()
      lists.set(group, ofGroup)
    }
    let list = ofGroup.get(engine)
    if (list === undefined) {
      const slots = group.view.engines.get(engine)?.slots ?? 0
      list = group.open.filter((place) => place.sandboxes[engine] < slots)
      ofGroup.set(engine, list)
    }
    return list
  }
}

function candidatesOf(places: readonly Place[], need: Need): Candidate[] {
  const candidates: Candidate[] = []
  for (const place of places) {
    if (place.heldFor !== null || lacking(place, need) !== null) continue
    const bootedAt = place.view.engines.get(need.engine)?.bootedAt.get(need.image ?? '') ?? 0
    candidates.push({ place, load: loadOf(place, need.engine), preference: preferenceOf(place.view.pool, need.image), bootedAt })
  }
  return candidates
}

/** Least loaded first; then where the image is preferred; then where it was booted last, since it is still in memory there; then by id. */
function compareCandidates(a: Candidate, b: Candidate): number {
  return a.load - b.load || a.preference - b.preference || b.bootedAt - a.bootedAt || a.place.index - b.place.index
}
