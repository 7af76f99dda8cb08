/** The name that needs the fewest changes of single letters, when they are few for its length. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const name of names) {
    const distance = editDistance(word, name)
    if (distance <= Math.max(1, Math.floor(Math.max(word.length, name.length) * 0.4)) && (best === undefined || distance < best.distance))
      best = { name, distance }
  }
  return best?.name
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const swap = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + swap))
    }
    row = next
  }
  return row[b.length] ?? 0
}
