import type { StoredImage } from '../../model/image/stored.ts'
import { formatDuration, type Instant, type Milliseconds } from '../../model/instant.ts'

/** A layer of a build, as its host keeps it. */
export interface KeptLayer {
  readonly key: string
  readonly sizeBytes: number
  readonly lastUsedAt: Instant
}

export interface Retention {
  /** What nobody used for this long may go. */
  readonly age: Milliseconds
  /** The newest builds of a line that stay whatever their age. */
  readonly count: number
  /** Bytes that images and layers of a host may take; null: as much as the disk has. */
  readonly budgetBytes: number | null
  /** Free space that is kept on the disk. */
  readonly freeFloorBytes: number
}

/** What is on one host, and what must stay. */
export interface Stock {
  readonly images: readonly StoredImage[]
  readonly layers: readonly KeptLayer[]
  /** Builds that must stay, and why: promoted, last good, pinned, being brought. */
  readonly held: ReadonlyMap<string, string>
  readonly retention: Retention
  readonly room: { readonly usedBytes: number; readonly freeBytes: number }
  /** Bytes that somebody is about to write. */
  readonly neededBytes: number
}

export interface Removal {
  readonly kind: 'image' | 'layer'
  readonly id: string
  readonly sizeBytes: number
  readonly reason: string
}

export interface Collection {
  /** In this order. */
  readonly remove: readonly Removal[]
  /** Of every image and layer that stays. */
  readonly keep: readonly { readonly id: string; readonly reason: string }[]
  /** Bytes that are missing although all that may go went; 0 when there is room. */
  readonly shortBytes: number
}

interface Candidate extends Omit<Removal, 'reason'> {
  readonly lastUsedAt: Instant
  /** Null: nothing but age and room speaks for it. */
  readonly stays: string | null
  /** It has to go as soon as nothing speaks for it. */
  readonly broken: boolean
  /** How many newer builds of its line there are; a layer has no line. */
  readonly newer: number
}

/**
 * What a host removes of its images and layers. Never one that a sandbox or layer stands on, that is held, or that is the newest whole build of its line. First what is
 * broken, then what is old, then, when room is short, layers and images by the time since they were last used.
 */
export function collectImages(stock: Stock, now: Instant): Collection {
  const { retention } = stock
  const candidates = candidatesOf(stock)
  const free = candidates.filter(({ stays }) => stays === null).toSorted(compareUse)
  const remove: Removal[] = []
  const gone = new Set<string>()
  const take = ({ kind, id, sizeBytes }: Candidate, reason: string): void => {
    gone.add(id)
    remove.push({ kind, id, sizeBytes, reason })
  }
  for (const each of free) if (each.broken) take(each, 'it is not whole')
  for (const each of free) {
    const unused = now - each.lastUsedAt
    if (!gone.has(each.id) && unused > retention.age && (each.kind === 'layer' || each.newer >= retention.count))
      take(each, ageReason(each, unused))
  }
  const freed = (): number => remove.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const short = (): number => shortage(stock, freed())
  // What can be made again goes before what has to be brought.
  for (const each of [...free.filter(({ kind }) => kind === 'layer'), ...free.filter(({ kind }) => kind === 'image')]) {
    if (short() <= 0) break
    if (!gone.has(each.id)) take(each, roomReason(stock, freed()))
  }
  const keep = candidates.filter(({ id }) => !gone.has(id)).map(({ id, stays }) => ({ id, reason: stays ?? 'nothing asks for its room' }))
  return { remove, keep, shortBytes: Math.max(0, short()) }
}

function ageReason({ newer }: Candidate, unused: Milliseconds): string {
  const instead = newer > 0 && Number.isFinite(newer) ? `${newer} newer ones are there` : 'it can be made again'
  return `nobody used it for ${formatDuration(unused)}, and ${instead}`
}

/** Bytes that have to be freed still; 0 or less when there is room. */
function shortage({ retention, room, neededBytes }: Stock, freed: number): number {
  const belowFloor = retention.freeFloorBytes + neededBytes - (room.freeBytes + freed)
  const aboveBudget =
    retention.budgetBytes === null ? Number.NEGATIVE_INFINITY : room.usedBytes - freed + neededBytes - retention.budgetBytes
  return Math.max(belowFloor, aboveBudget)
}

function roomReason(stock: Stock, freed: number): string {
  const { retention, room, neededBytes } = stock
  const isBelowFloor = retention.freeFloorBytes + neededBytes > room.freeBytes + freed
  return isBelowFloor ? 'the disk has too little free space' : 'images of this host are over their budget'
}

function compareUse(a: Candidate, b: Candidate): number {
  return a.lastUsedAt - b.lastUsedAt || (a.id < b.id ? -1 : 1)
}

function candidatesOf({ images, layers, held }: Stock): readonly Candidate[] {
  const newestFirst = images.toSorted((a, b) => builtAt(b) - builtAt(a) || (a.id < b.id ? -1 : 1))
  const lines = new Map<string, { newer: number; hasGood: boolean }>()
  const candidates = newestFirst.map((image): Candidate => {
    const { id, sizeBytes, lastUsedAt } = image
    const isBroken = image.problems.length > 0
    const line = lineOf(lines, image)
    const stays =
      userOf(image) ?? held.get(id) ?? (line.hasGood || isBroken ? null : `the newest whole build of ${image.metadata?.image ?? ''}`)
    const { newer } = line
    line.newer += 1
    line.hasGood ||= !isBroken
    return { kind: 'image', id, sizeBytes, lastUsedAt, stays, broken: isBroken, newer }
  })
  const own = layers.map(({ key, sizeBytes, lastUsedAt }): Candidate => {
    return { kind: 'layer', id: key, sizeBytes, lastUsedAt, stays: null, broken: false, newer: 0 }
  })
  return [...candidates, ...own]
}

function userOf({ users }: StoredImage): string | null {
  return users.length === 0 ? null : `in use: ${users.slice(0, 5).join(', ')}`
}

/** What of an image's line was seen already. A base has no line: nothing of it is the last good one, and any number of newer ones stand for it. */
function lineOf(lines: Map<string, { newer: number; hasGood: boolean }>, { metadata }: StoredImage): { newer: number; hasGood: boolean } {
  const name = metadata?.image ?? null
  if (name === null) return { newer: Number.POSITIVE_INFINITY, hasGood: true }
  const known = lines.get(name) ?? { newer: 0, hasGood: false }
  lines.set(name, known)
  return known
}

function builtAt({ metadata, storedAt }: StoredImage): Instant {
  return metadata?.builtAt ?? storedAt
}
