/**
 * Leaves out of a list all that need not be there for it to fail: first halves, then ever smaller pieces, at last each by itself (Zeller's ddmin). The
 * result still fails, and no longer does when any one of it is left out. The list as it is given is taken to fail.
 */
export async function fewest<T>(items: readonly T[], fails: (rest: T[]) => Promise<boolean>): Promise<readonly T[]> {
  let rest = items
  for (let size = items.length; size > 0;) {
    const before = rest.length
    rest = await withoutPieces(rest, size, fails)
    // Once each by itself is tried, it is tried again until nothing more goes: what was needed may not be any more.
    if (size === 1 && rest.length === before) return rest
    size = Math.max(1, Math.min(Math.ceil(size / 2), rest.length))
    if (rest.length === 0) return rest
  }
  return rest
}

/** One way through the list, leaving out each piece of so many that it fails without. */
async function withoutPieces<T>(items: readonly T[], size: number, fails: (rest: T[]) => Promise<boolean>): Promise<readonly T[]> {
  let rest = items
  for (let at = 0; at < rest.length;) {
    const without = [...rest.slice(0, at), ...rest.slice(at + size)]
    if (await fails(without)) rest = without
    else at += size
  }
  return rest
}
