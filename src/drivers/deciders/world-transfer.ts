import type { World } from '../../model/world.ts'

/**
 * The same world with plain maps, which can travel to another thread; the indexed maps of `decide` are made of functions. Their order is
 * kept, and `decide` makes its own maps of them again with the first change.
 */
export function transferable(world: World): World {
  return plainMaps(world) as World
}

/** Maps stand at two levels: those of the world, and those of the things in them (the jobs of a class). */
function plainMaps(value: unknown, depth = 0): unknown {
  if (isMap(value)) return new Map([...value.entries()].map(([key, item]) => [key, plainMaps(item, depth + 1)]))
  if (typeof value !== 'object' || value === null || depth > 1 || !Object.values(value).some(isMap)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, isMap(item) ? plainMaps(item, depth) : item]))
}

function isMap(value: unknown): value is ReadonlyMap<unknown, unknown> {
  return typeof value === 'object' && value !== null && 'entries' in value && typeof value.entries === 'function' && 'size' in value
}
