import { useSyncExternalStore } from 'react'

/** One timer for every age on the page: only what shows an age is drawn again each second. */
const watchers = new Set<() => void>()
let now = Date.now()
let timer: ReturnType<typeof setInterval> | undefined

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  timer ??= setInterval(() => {
    now = Date.now()
    for (const one of watchers) one()
  }, 1000)
  return () => {
    watchers.delete(watcher)
    if (watchers.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** The time, ticking each second. */
export function useNow(): number {
  return useSyncExternalStore(watch, () => now)
}
