/** A binary heap over an array: the smallest element, by `compare`, comes first. */
export interface Heap<T> {
  readonly size: number
  peek(): T | undefined
  push(item: T): void
  pop(): T | undefined
}

/** Makes a heap of the items in linear time; it takes the array over. */
export function createHeap<T>(items: T[], compare: (a: T, b: T) => number): Heap<T> {
  function sink(from: number): void {
    const item = items[from] as T
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && compare(items[child + 1] as T, items[child] as T) < 0) child += 1
      if (compare(items[child] as T, item) >= 0) break
      items[at] = items[child] as T
      at = child
    }
    items[at] = item
  }
  for (let at = (items.length >>> 1) - 1; at >= 0; at -= 1) sink(at)
  return {
    get size() {
      return items.length
    },
    peek: () => items[0],
    push(item) {
      let at = items.length
      items.push(item)
      while (at > 0) {
        const parent = (at - 1) >>> 1
        if (compare(item, items[parent] as T) >= 0) break
        items[at] = items[parent] as T
        at = parent
      }
      items[at] = item
    },
    pop() {
      const top = items[0]
      const last = items.pop()
      if (items.length > 0) {
        items[0] = last as T
        sink(0)
      }
      return top
    },
  }
}
