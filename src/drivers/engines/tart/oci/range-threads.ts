import { extname } from 'node:path'
import { Threads } from '../../threads.ts'
import type { hashRange, packRange } from './range-work.ts'

interface RangeTasks {
  readonly hashRange: typeof hashRange
  readonly packRange: typeof packRange
}

export type RangeThreads = Threads<{ [K in keyof RangeTasks]: RangeTasks[K] }>

const threadEntry = new URL(`./range-thread${extname(import.meta.filename)}`, import.meta.url)

/** Threads that read and pack pieces of disks; whoever makes them closes them. */
export function rangeThreads(count?: number): RangeThreads {
  return new Threads(threadEntry, count)
}
