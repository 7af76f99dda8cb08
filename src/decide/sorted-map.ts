/**
 * An immutable map that iterates in the order of its keys. A change copies one leaf (≤ 128 entries) and the list of leaves, so that
 * it costs about a microsecond in a map of 100,000 entries; all else is shared with the map it came from.
 */
export interface SortedMap<V> extends ReadonlyMap<string, V> {
  readonly leaves: readonly Leaf<V>[]
}

export interface Leaf<V> {
  readonly keys: readonly string[]
  readonly values: readonly V[]
}

const leafLimit = 128

/** A map without entries. */
export function emptySorted<V>(): SortedMap<V> {
  return fromLeaves<V>([], 0)
}

/**
 * A map of the given entries, which need not be in order; of two entries with one key the later counts.
 *
 * @example sortedFrom([['b', 2], ['a', 1]]) // iterates a, b
 */
export function sortedFrom<V>(entries: Iterable<readonly [string, V]>): SortedMap<V> {
  const unique = new Map(entries)
  const keys = [...unique.keys()].sort(compareText)
  const leaves: Leaf<V>[] = []
  const size = leafLimit / 2
  for (let start = 0; start < keys.length; start += size) {
    const part = keys.slice(start, start + size)
    leaves.push({ keys: part, values: part.map((key) => unique.get(key) as V) })
  }
  return fromLeaves(leaves, keys.length)
}

/** The map with `key` set to `value`. */
export function withEntry<V>(map: ReadonlyMap<string, V>, key: string, value: V): SortedMap<V> {
  const sorted = asSorted(map)
  const { leaves } = sorted
  if (leaves.length === 0) return fromLeaves([{ keys: [key], values: [value] }], 1)
  const at = leafOf(leaves, key)
  const leaf = leaves[at] as Leaf<V>
  const index = lowerBound(leaf.keys, key)
  const present = leaf.keys[index] === key
  if (present && leaf.values[index] === value) return sorted
  const changed: Leaf<V> = present
    ? { keys: leaf.keys, values: leaf.values.with(index, value) }
    : { keys: leaf.keys.toSpliced(index, 0, key), values: leaf.values.toSpliced(index, 0, value) }
  return fromLeaves(leaves.toSpliced(at, 1, ...split(changed)), sorted.size + (present ? 0 : 1))
}

/** The map without `key`; the same map when it was not there. */
export function withoutEntry<V>(map: ReadonlyMap<string, V>, key: string): SortedMap<V> {
  const sorted = asSorted(map)
  const { leaves } = sorted
  const at = leafOf(leaves, key)
  const leaf = leaves[at]
  if (leaf === undefined) return sorted
  const index = lowerBound(leaf.keys, key)
  if (leaf.keys[index] !== key) return sorted
  const rest: Leaf<V> = { keys: leaf.keys.toSpliced(index, 1), values: leaf.values.toSpliced(index, 1) }
  if (rest.keys.length === 0) return fromLeaves(leaves.toSpliced(at, 1), sorted.size - 1)
  // Without joining, a map that is emptied at random would end as thousands of leaves with one entry each.
  const [before, after] = [leaves[at - 1], leaves[at + 1]]
  if (after !== undefined && mayJoin(rest, after)) return fromLeaves(leaves.toSpliced(at, 2, join(rest, after)), sorted.size - 1)
  if (before !== undefined && mayJoin(before, rest)) return fromLeaves(leaves.toSpliced(at - 1, 2, join(before, rest)), sorted.size - 1)
  return fromLeaves(leaves.with(at, rest), sorted.size - 1)
}

function mayJoin<V>(a: Leaf<V>, b: Leaf<V>): boolean {
  return a.keys.length + b.keys.length <= leafLimit / 2
}

function join<V>(a: Leaf<V>, b: Leaf<V>): Leaf<V> {
  return { keys: [...a.keys, ...b.keys], values: [...a.values, ...b.values] }
}

/** Visits every entry in the order of the keys; several times faster than iterating, for the loops that see every host. */
export function visit<V>(map: ReadonlyMap<string, V>, each: (value: V, key: string) => void): void {
  for (const { keys, values } of asSorted(map).leaves) {
    for (let at = 0; at < keys.length; at += 1) each(values[at] as V, keys[at] as string)
  }
}

/** The first value in the order of the keys. */
export function firstValue<V>(map: ReadonlyMap<string, V>): V | undefined {
  return asSorted(map).leaves[0]?.values[0]
}

/** Compares by UTF-16 code units: the same on every machine, unlike a locale's order. */
export function compareText(a: string, b: string): number {
  if (a < b) return -1
  return a > b ? 1 : 0
}

function asSorted<V>(map: ReadonlyMap<string, V>): SortedMap<V> {
  return 'leaves' in map ? (map as SortedMap<V>) : sortedFrom(map)
}

function split<V>(leaf: Leaf<V>): Leaf<V>[] {
  if (leaf.keys.length <= leafLimit) return [leaf]
  // An append splits off a short tail: keys that only go up (ids, submissions) then fill their leaves.
  const cut = leafLimit - 16
  return [
    { keys: leaf.keys.slice(0, cut), values: leaf.values.slice(0, cut) },
    { keys: leaf.keys.slice(cut), values: leaf.values.slice(cut) },
  ]
}

/** Index of the leaf that holds `key` or would. */
function leafOf<V>(leaves: readonly Leaf<V>[], key: string): number {
  let low = 0
  let high = leaves.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if (((leaves[middle] as Leaf<V>).keys[0] as string) <= key) low = middle
    else high = middle - 1
  }
  return low
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

function fromLeaves<V>(leaves: readonly Leaf<V>[], size: number): SortedMap<V> {
  function get(key: string): V | undefined {
    const leaf = leaves[leafOf(leaves, key)]
    if (leaf === undefined) return undefined
    const index = lowerBound(leaf.keys, key)
    return leaf.keys[index] === key ? leaf.values[index] : undefined
  }
  function has(key: string): boolean {
    const leaf = leaves[leafOf(leaves, key)]
    return leaf !== undefined && leaf.keys[lowerBound(leaf.keys, key)] === key
  }
  function* keys(): Generator<string, undefined, unknown> {
    for (const leaf of leaves) yield* leaf.keys
  }
  function* values(): Generator<V, undefined, unknown> {
    for (const leaf of leaves) for (const value of leaf.values) yield value
  }
  function* entries(): Generator<[string, V], undefined, unknown> {
    for (const leaf of leaves) for (const [index, key] of leaf.keys.entries()) yield [key, leaf.values[index] as V]
  }
  const map: SortedMap<V> = {
    leaves,
    size,
    get,
    has,
    keys,
    values,
    entries,
    [Symbol.iterator]: entries,
    forEach(callback) {
      visit(map, (value, key) => {
        callback(value, key, map)
      })
    },
  }
  return map
}
